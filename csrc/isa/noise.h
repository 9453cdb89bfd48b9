// Gumbel noise, one variate per (key, token id): SplitMix64's output function over key + (id + 1) * gamma gives 64 bits
// h, r = (h + 1/2) / 2^64, E = -log(1 - r) is a unit exponential, and -log(E) what is added to a logit. Plain loops
// that compilers turn into vectors; every step is one rounding of IEEE's, so all instruction sets give the same bits.
// Included once per instruction set, inside its namespace (no include guard).

constexpr int64_t kNoiseAtOnce = 256;

OSSIA_INLINE uint64_t mix_bits(uint64_t h) {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

// log of a positive normal number, to about 2 ulp: x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1, and the series
// of 2 atanh(f / (2 + f)).
OSSIA_INLINE float log_of(float x) {
  int32_t word;
  std::memcpy(&word, &x, 4);
  const int32_t k = (word - 0x3f3504f3) >> 23;
  word -= static_cast<int32_t>(static_cast<uint32_t>(k) << 23);
  float m;
  std::memcpy(&m, &word, 4);
  const float f = m - 1.0f, s = f / (2.0f + f), z = s * s;
  float p = z * (1.0f / 9.0f) + 1.0f / 7.0f;
  p = z * p + 0.2f;
  p = z * p + 1.0f / 3.0f;
  const float twice = s + s;
  return static_cast<float>(k) * 0.693147180559945f + (twice + twice * (z * p));
}

// out[i] for id(i), i < n <= kNoiseAtOnce. What decides a draw is a small E, and there r keeps all its bits: the 64
// bits come in three pieces, each exact as a float.
template <class Id>
OSSIA_INLINE void gumbel_noise(uint64_t key, int64_t n, const Id& id, float* out) {
  int32_t top[kNoiseAtOnce], middle[kNoiseAtOnce], bottom[kNoiseAtOnce];
  for (int64_t i = 0; i < n; i++) {
    const uint64_t h = mix_bits(key + (static_cast<uint64_t>(id(i)) + 1) * 0x9e3779b97f4a7c15u);
    top[i] = static_cast<int32_t>(h >> 40);
    middle[i] = static_cast<int32_t>(h >> 16 & 0xffffff);
    bottom[i] = static_cast<int32_t>(h & 0xffff);
  }
  for (int64_t i = 0; i < n; i++) {
    float r = (static_cast<float>(bottom[i]) + 0.5f) * 5.421010862427522e-20f;  // 2^-64
    r = static_cast<float>(middle[i]) * 3.552713678800501e-15f + r;             // 2^-48
    r = static_cast<float>(top[i]) * 5.9604644775390625e-08f + r;               // 2^-24
    int32_t word;
    std::memcpy(&word, &r, 4);
    word = word < 0x3f7fffff ? word : 0x3f7fffff;  // at most 1 - 2^-24; comparing floats would not become vectors
    std::memcpy(&r, &word, 4);
    // log(1 - r), where 1 - r was rounded to u, is log(u) times r / (1 - u); and r itself where u is 1.
    const float u = 1.0f - r, gone = 1.0f - u;
    std::memcpy(&word, &gone, 4);
    const float one = static_cast<float>(word == 0);
    const float e = r * ((one - log_of(u)) / (gone + one));
    out[i] = -log_of(e);
  }
}
