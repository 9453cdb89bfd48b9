// Every kernel of the table that this CPU runs, held to the scalar one bit for bit: ops x numerics x instruction sets,
// over shapes, misalignments, memory that ends at a forbidden page, rows and threads. Needs neither Python nor a
// library, so that it runs for other processors under an emulator (`make test-native`, `make test-neon`).
#include <functional>
#include <memory>
#include <string>

#include "operands.h"
#include "threads.h"

namespace ossia::test {
namespace {

constexpr const char* kIsaNames[kIsas] = {"scalar", "avx2", "avxvnni", "avx512", "neon", "neon_i8mm"};
constexpr const char* kNumericsNames[kNumerics] = {"q8", "bf16", "f32"};
constexpr int64_t kThreads[] = {1, 2, 3};

// What a kernel wrote.
struct Piece {
  const void* data;
  size_t count, width;  // elements, bytes each
  bool floats;
};
template <class T>
Piece piece(const T* data, int64_t count, bool floats = std::is_same_v<T, float>) {
  return {data, static_cast<size_t>(count), sizeof(T), floats};
}

std::vector<Piece> pieces(const Act& a) {
  const int64_t size = a.rows * a.width;
  if (a.numerics == Numerics::f32) return {piece(static_cast<float*>(a.data), size)};
  if (a.numerics == Numerics::bf16) return {piece(static_cast<uint16_t*>(a.data), size, true)};
  return {piece(static_cast<int8_t*>(a.data), size), piece(a.scales, size / 32), piece(a.split, size),
          piece(a.sums, size / 32)};
}

bool is_nan(const Piece& p, size_t i) {
  if (!p.floats) return false;
  if (p.width == 4) return std::isnan(static_cast<const float*>(p.data)[i]);
  return (static_cast<const uint16_t*>(p.data)[i] & 0x7fff) > 0x7f80;
}

// A case sets its operands up and says what to run and what that wrote.
struct Case {
  const void* args;
  std::vector<Piece> written;
};
using Setup = std::function<Case(Memory&)>;

class Harness {
 public:
  Harness() {
    for (int64_t n : kThreads) teams_.push_back(std::make_unique<Team>(static_cast<int>(n)));
  }

  // Runs the case by every instruction set and number of threads, each time on operands made anew.
  void check(Op op, Numerics numerics, const std::string& name, const Setup& setup) {
    seen_[static_cast<int>(op)] = true;
    Memory expected_memory;
    const Case expected = run(op, numerics, Isa::scalar, 0, expected_memory, setup);
    for (int isa = 0; isa < kIsas; isa++) {
      if (!isa_available(static_cast<Isa>(isa))) continue;
      for (size_t team = 0; team < teams_.size(); team++) {
        Memory memory;
        const Case got = run(op, numerics, static_cast<Isa>(isa), team, memory, setup);
        const std::string where = name + ", " + kNumericsNames[static_cast<int>(numerics)] + ", " + kIsaNames[isa] +
                                  ", " + std::to_string(kThreads[team]) + " threads";
        for (size_t i = 0; i < got.written.size(); i++) compare(got.written[i], expected.written[i], where, i);
        checks_++;
      }
    }
  }

  int report() {
    for (int op = 0; op < kOps; op++)
      if (!seen_[op]) fail("op " + std::to_string(op) + " of the table has no case here");
    std::string isas;
    for (int isa = 0; isa < kIsas; isa++)
      if (isa_available(static_cast<Isa>(isa))) isas += std::string(" ") + kIsaNames[isa];
    std::printf("%d comparisons, %d failures, instruction sets:%s\n", checks_, failures_, isas.c_str());
    return failures_ ? 1 : 0;
  }

 private:
  Case run(Op op, Numerics numerics, Isa isa, size_t team, Memory& memory, const Setup& setup) {
    const Case c = setup(memory);
    const Kernel kernel = find_kernel(op, numerics, isa);
    if (!kernel) {
      fail("the table has a hole: op " + std::to_string(static_cast<int>(op)));
      return c;
    }
    const ExactFloats exact;
    kernel(c.args, *teams_[team]);
    if (const char* error = teams_[team]->take_error()) fail(error);
    return c;
  }

  void compare(const Piece& a, const Piece& b, const std::string& where, size_t index) {
    size_t differ = 0;
    for (size_t i = 0; i < a.count; i++) {
      const char *x = static_cast<const char*>(a.data) + i * a.width,
                 *y = static_cast<const char*>(b.data) + i * b.width;
      if (std::memcmp(x, y, a.width) != 0 && !(is_nan(a, i) && is_nan(b, i))) differ++;
    }
    if (differ)
      fail(where + ": array " + std::to_string(index) + " differs in " + std::to_string(differ) + " of " +
           std::to_string(a.count) + " places");
  }

  void fail(const std::string& what) {
    if (failures_++ < 20) std::printf("FAIL %s\n", what.c_str());
  }

  std::vector<std::unique_ptr<Team>> teams_;
  bool seen_[kOps] = {};
  int checks_ = 0, failures_ = 0;
};

std::string shape(const char* op, std::initializer_list<int64_t> numbers) {
  std::string out = op;
  for (int64_t n : numbers) out += " " + std::to_string(n);
  return out;
}

// Values with zeros, infinities, NaNs and numbers too small for a scale among them.
std::vector<float> awkward(Random& r, int64_t rows, int64_t width) {
  std::vector<float> x = r.normals(rows * width);
  const float odd[] = {0.0f, -0.0f, INFINITY, NAN, 1e-38f, 1e-42f, 3e38f, -1e-31f};
  for (int64_t i = 0; i < rows * width / 97; i++) x[static_cast<size_t>(r.below(rows * width))] = odd[r.below(8)];
  for (int64_t i = 0; i < 32 && rows > 1; i++) x[static_cast<size_t>(width + i)] = 1e-33f * x[static_cast<size_t>(i)];
  return x;
}

Act quantized(Memory& m, Random& r, Numerics numerics, int64_t rows, int64_t width) {
  const Act out = make_act(m, numerics, rows, width);
  const QuantizeArgs args{m.copy(r.normals(rows * width)), out};
  Team one(1);
  find_kernel(Op::quantize, numerics, Isa::scalar)(&args, one);
  return out;
}

// Keeps the arguments as long as the memory.
template <class Args>
const void* keep(Memory& m, const Args& args) {
  return m.copy(std::vector<Args>{args});
}

void row_ops(Harness& h, Numerics n) {
  for (int64_t rows : {1, 3, 40})
    for (int64_t width : {32, 96, 2080})
      for (int place : {0, 4, kGuarded}) {
        const auto seed = static_cast<uint64_t>(rows * 100003 + width);
        h.check(Op::quantize, n, shape("quantize", {rows, width, place}), [=](Memory& m) -> Case {
          Random r(seed);
          const Act out = make_act(m, n, rows, width);
          return {keep(m, QuantizeArgs{m.copy(awkward(r, rows, width), place), out}), pieces(out)};
        });
        h.check(Op::rms_norm, n, shape("rms_norm", {rows, width, place}), [=](Memory& m) -> Case {
          Random r(seed);
          const Act out = make_act(m, n, rows, width);
          float* normed = m.make<float>(rows * width, place);
          const float *x = m.copy(r.normals(rows * width), place), *w = m.copy(r.normals(width), place);
          std::vector<Piece> written = pieces(out);
          written.push_back(piece(normed, rows * width));
          return {keep(m, RmsNormArgs{x, w, 1e-5f, out, normed}), written};
        });
        for (bool bf16 : {false, true})
          h.check(Op::embed, n, shape("embed", {rows, width, place, bf16}), [=](Memory& m) -> Case {
            Random r(seed);
            const std::vector<float> table = awkward(r, 7, width);
            std::vector<int32_t> ids;
            for (int64_t i = 0; i < rows; i++) ids.push_back(static_cast<int32_t>(r.below(7)));
            float* out = m.make<float>(rows * width);
            const void* values = bf16 ? static_cast<const void*>(m.copy(to_bf16(table), bf16 && place > 0 ? 2 : place))
                                      : m.copy(table, place);
            return {keep(m, EmbedArgs{values, bf16, m.copy(ids), out, rows, width, 7}), {piece(out, rows * width)}};
          });
        h.check(Op::route, n, shape("route", {rows, width, place}), [=](Memory& m) -> Case {
          Random r(seed);
          const float *x = m.copy(r.normals(rows * width), place), *w = m.copy(r.normals(9 * width), place);
          int32_t* ids = m.make<int32_t>(rows * 4);
          float* weights = m.make<float>(rows * 4);
          return {keep(m, RouteArgs{x, w, m.copy(r.normals(9)), ids, weights, rows, width, 9, 4}),
                  {piece(ids, rows * 4), piece(weights, rows * 4)}};
        });
        h.check(Op::gather_rows, n, shape("gather_rows", {rows, width, place}), [=](Memory& m) -> Case {
          Random r(seed);
          std::vector<int32_t> chosen;
          for (int64_t i = 0; i < rows; i++) chosen.push_back(static_cast<int32_t>(r.below(5)));
          float* out = m.make<float>(rows * width, place);
          return {keep(m, GatherRowsArgs{m.copy(r.normals(5 * width)), m.copy(chosen), out, rows, width, 5}),
                  {piece(out, rows * width)}};
        });
      }
}

void linears(Harness& h, Numerics n) {
  const Kind own = n == Numerics::q8 ? Kind::q8 : n == Numerics::bf16 ? Kind::bf16 : Kind::f32;
  struct Size {
    int64_t rows, out, width;
  };
  std::vector<Size> sizes = {{1, 1, 32}, {1, 131, 2080}, {3, 7, 2080}, {4, 65, 96}, {70, 33, 2080}};
  for (int64_t rows = 1; rows <= 20; rows++) sizes.push_back({rows, 37, 160});
  for (Kind kind : {own, Kind::mxfp4})
    for (const Size& s : sizes)
      for (int place : {0, 1, 2, kGuarded}) {
        const int apart = kind == Kind::bf16 ? 2 : kind == Kind::f32 ? 4 : 1;
        const int at = place == kGuarded ? place : kind == Kind::q8 ? 4 * place : apart * place;
        const std::string name = shape("linear", {static_cast<int>(kind), s.rows, s.out, s.width, at});
        h.check(Op::linear, n, name, [=](Memory& m) -> Case {
          Random r(static_cast<uint64_t>(s.rows + 1000 * s.out + s.width));
          const Act x = quantized(m, r, n, s.rows, s.width);
          const Mat w = make_mat(m, r, kind, 1, s.out, s.width, at, place == 0);
          const float* bias = place == 1 ? nullptr : m.copy(r.normals(s.out));
          float* out = m.copy(r.normals(s.rows * s.out));
          return {keep(m, LinearArgs{x, w, bias, out, place == 2}), {piece(out, s.rows * s.out)}};
        });
      }
}

void moes(Harness& h, Numerics n) {
  struct Size {
    int64_t tokens, width, inner, experts, top_k;
  };
  for (const Size& s :
       {Size{1, 96, 64, 5, 2}, Size{2, 2080, 32, 4, 4}, Size{9, 160, 96, 8, 4}, Size{48, 96, 160, 3, 2}})
    for (int place : {0, 3, kGuarded})
      h.check(Op::moe, n, shape("moe", {s.tokens, s.width, s.inner, place}), [=](Memory& m) -> Case {
        Random r(static_cast<uint64_t>(s.tokens + s.width));
        const Act x = quantized(m, r, n, s.tokens, s.width);
        std::vector<int32_t> ids;
        for (int64_t t = 0; t < s.tokens; t++)
          for (int64_t k = 0, first = r.below(s.experts); k < s.top_k; k++)
            ids.push_back(static_cast<int32_t>((first + k) % s.experts));
        const Mat up = make_mat(m, r, Kind::mxfp4, s.experts, 2 * s.inner, s.width, place, false);
        const Mat down = make_mat(m, r, Kind::mxfp4, s.experts, s.width, s.inner, place, false);
        const float *up_bias = m.copy(r.normals(s.experts * 2 * s.inner)),
                    *down_bias = m.copy(r.normals(s.experts * s.width));
        const float* weights = m.copy(r.normals(s.tokens * s.top_k));
        float* out = m.copy(r.normals(s.tokens * s.width));
        return {keep(m, MoeArgs{x, m.copy(ids), weights, up, down, up_bias, down_bias, 7.0f, 1.702f, out, s.top_k}),
                {piece(out, s.tokens * s.width)}};
      });
}

constexpr KvKind kKvKinds[] = {KvKind::f32, KvKind::bf16, KvKind::int8};

int64_t elements(const Cache& kv) { return kv.num_blocks * kv.kv_heads * kv.stride; }

void* values(Memory& m, Random& r, const Cache& kv, int place) {
  if (kv.kind == KvKind::f32) return m.copy(r.normals(elements(kv)), place);
  if (kv.kind == KvKind::bf16) return m.copy(to_bf16(r.normals(elements(kv))), place);
  std::vector<int8_t> all(static_cast<size_t>(elements(kv)));
  for (int8_t& x : all) x = static_cast<int8_t>(r.below(255) - 127);
  for (int64_t at = kTile * kv.head_dim; at < elements(kv); at += kv.stride)
    for (int64_t j = 0; j < kTile; j++) {
      const uint16_t scale = to_bf16(r.normal() / 100);
      std::memcpy(all.data() + at + 2 * j, &scale, 2);
    }
  return m.copy(all, place);
}

Cache make_cache(Memory& m, Random& r, KvKind kind, int64_t blocks, int64_t kv_heads, int64_t head_dim, int place) {
  Cache kv{kind, nullptr, nullptr, blocks, kv_heads, head_dim, (head_dim + (kind == KvKind::int8 ? 2 : 0)) * kTile};
  kv.k = values(m, r, kv, place);
  kv.v = values(m, r, kv, place);
  return kv;
}

Piece written(const Cache& kv, const void* p) {
  if (kv.kind == KvKind::f32) return piece(static_cast<const float*>(p), elements(kv));
  if (kv.kind == KvKind::bf16) return piece(static_cast<const uint16_t*>(p), elements(kv), true);
  return piece(static_cast<const int8_t*>(p), elements(kv));
}

void attentions(Harness& h, Numerics n) {
  struct Size {
    int64_t tokens, heads, kv_heads, head_dim, context, window;
  };
  for (const Size& s : {Size{1, 8, 1, 64, 150, 0}, Size{1, 6, 2, 16, 300, 0}, Size{5, 6, 2, 48, 70, 0},
                        Size{40, 9, 3, 64, 200, 100}, Size{33, 8, 2, 32, 33, 128}})
    for (KvKind kind : kKvKinds)
      for (int place : {0, kGuarded}) {
        const int64_t type = static_cast<int64_t>(kind), blocks = (s.context + kTile - 1) / kTile;
        const std::string name = shape("attention", {s.tokens, s.heads, s.head_dim, s.context, s.window, type, place});
        h.check(Op::attention, n, name, [=](Memory& m) -> Case {
          Random r(static_cast<uint64_t>(s.context * 7 + s.tokens));
          const int64_t width = (s.heads + 2 * s.kv_heads) * s.head_dim;
          std::vector<int32_t> positions, rows(static_cast<size_t>(s.tokens), 0), table;  // blocks lie in reverse
          for (int64_t t = 0; t < s.tokens; t++) positions.push_back(static_cast<int32_t>(s.context - s.tokens + t));
          for (int64_t b = 0; b < blocks; b++) table.push_back(static_cast<int32_t>(blocks - 1 - b));
          const Act out = make_act(m, n, s.tokens, s.heads * s.head_dim);
          AttentionArgs a{};
          a.qkv = m.copy(r.normals(s.tokens * width), place);
          a.kv = make_cache(m, r, kind, blocks, s.kv_heads, s.head_dim, place);
          a.positions = m.copy(positions), a.rows = m.copy(rows), a.table = m.copy(table);
          a.sinks = m.copy(r.normals(s.heads)), a.window = s.window, a.scale = 0.3f, a.out = out;
          a.num_heads = s.heads, a.sequences = 1, a.table_width = blocks;
          return {keep(m, a), pieces(out)};
        });
      }
}

void ropes(Harness& h, Numerics n) {
  for (int64_t tokens : {1, 7, 68})
    for (KvKind kind : kKvKinds)
      h.check(Op::rope_store, n, shape("rope_store", {tokens, static_cast<int64_t>(kind)}), [=](Memory& m) -> Case {
        Random r(static_cast<uint64_t>(tokens));
        RopeStoreArgs a{};
        a.kv = make_cache(m, r, kind, 2, 2, 48, 0);
        const int64_t heads = 6, width = (heads + 2 * a.kv.kv_heads) * a.kv.head_dim;
        std::vector<int32_t> slots;
        for (int64_t t = 0; t < tokens; t++) slots.push_back(static_cast<int32_t>(60 + t));
        a.qkv = m.copy(r.normals(tokens * width)), a.cos = m.copy(r.normals(tokens * 24));
        a.sin = m.copy(r.normals(tokens * 24)), a.slots = m.copy(slots);
        a.rows = tokens, a.num_heads = heads;
        return {keep(m, a), {piece(a.qkv, tokens * width), written(a.kv, a.kv.k), written(a.kv, a.kv.v)}};
      });
}

// Rows that choose, each otherwise: greedily or not, masked or not, with changed ids.
Asked make_asked(Memory& m, Random& r, int64_t rows, int64_t vocab, bool one_whole) {
  std::vector<uint8_t> whole, masks;
  std::vector<float> temperatures, penalties, bias, counts;
  std::vector<uint64_t> keys;
  std::vector<int32_t> mask_of, ends, ids;
  for (int64_t i = 0; i < vocab; i++) masks.push_back(static_cast<uint8_t>(r.below(3) > 0));
  for (int64_t t = 0; t < rows; t++) {
    whole.push_back(one_whole && t == 0);
    temperatures.push_back(static_cast<float>(t % 3));
    keys.push_back(r.next());
    mask_of.push_back(t % 2 ? 0 : -1);
    penalties.insert(penalties.end(), {1.5f, 0.25f, 0.5f});
    for (int64_t id = r.below(9); id < vocab; id += 9) {
      ids.push_back(static_cast<int32_t>(id));
      bias.push_back(r.normal());
      counts.push_back(static_cast<float>(r.below(4) - 1));
    }
    ends.push_back(static_cast<int32_t>(ids.size()));
  }
  return {m.copy(whole),
          m.copy(temperatures),
          m.copy(keys),
          m.copy(mask_of),
          m.copy(masks),
          m.copy(penalties),
          m.copy(ends),
          m.copy(ids),
          m.copy(bias),
          m.copy(counts),
          1,
          static_cast<int64_t>(ids.size())};
}

void heads(Harness& h, Numerics n) {
  const Kind own = n == Numerics::q8 ? Kind::q8 : n == Numerics::bf16 ? Kind::bf16 : Kind::f32;
  struct Size {
    int64_t rows, vocab, width;
  };
  for (const Size& s : {Size{1, 700, 2080}, Size{2, 257, 32}, Size{5, 301, 96}, Size{9, 600, 544}})
    for (bool planes : {false, true})
      for (bool one_whole : {false, true}) {
        if (planes && n != Numerics::q8) continue;
        const std::string name = shape("lm_head", {s.rows, s.vocab, s.width, planes, one_whole});
        h.check(Op::lm_head, n, name, [=](Memory& m) -> Case {
          Random r(static_cast<uint64_t>(s.vocab));
          const Act x = quantized(m, r, n, s.rows, s.width);
          Mat w = make_mat(m, r, own, 1, s.vocab, s.width, kGuarded, false);
          LmHeadArgs a{x, w, make_asked(m, r, s.rows, s.vocab, one_whole)};
          if (planes) {
            const SplitPlanesArgs split{static_cast<int8_t*>(const_cast<void*>(w.data)),
                                        static_cast<float*>(const_cast<void*>(w.scales)), m.make<double>(5 * s.vocab),
                                        s.vocab, s.width};
            Team one(1);
            find_kernel(Op::split_planes, n, Isa::scalar)(&split, one);
            a.w.kind = Kind::q8_planes, a.gain = 1.01f, a.sigmas = 2, a.most_rows = 16;
            const std::vector<int32_t> doubtful = {3, 256};
            a.doubtful = m.copy(doubtful), a.doubtful_count = 2;
          }
          a.chosen = m.make<int32_t>(s.rows), a.rescored = m.make<int32_t>(s.rows);
          a.logits = m.make<float>(s.rows * s.vocab);
          return {keep(m, a), {piece(a.chosen, s.rows), piece(a.rescored, s.rows), piece(a.logits, s.rows * s.vocab)}};
        });
      }
  h.check(Op::split_planes, n, "split_planes", [=](Memory& m) -> Case {
    Random r(1);
    const Mat w = make_mat(m, r, Kind::q8, 1, 300, 544, kGuarded, false);
    auto* data = static_cast<int8_t*>(const_cast<void*>(w.data));
    auto* scales = static_cast<float*>(const_cast<void*>(w.scales));
    double* stats = m.make<double>(1500);
    return {keep(m, SplitPlanesArgs{data, scales, stats, 300, 544}),
            {piece(data, 300 * 544), piece(scales, 300 * 17), piece(stats, 1500)}};
  });
  h.check(Op::gumbel, n, "gumbel", [=](Memory& m) -> Case {
    Random r(2);
    std::vector<int64_t> ids;
    for (int i = 0; i < 1000; i++) ids.push_back(r.below(1 << 20));
    float* out = m.make<float>(1000);
    return {keep(m, GumbelArgs{99, m.copy(ids), out, 1000}), {piece(out, 1000)}};
  });
}

}  // namespace
}  // namespace ossia::test

int main() {
  using namespace ossia;
  test::Harness harness;
  for (Numerics n : {Numerics::q8, Numerics::bf16, Numerics::f32}) {
    test::row_ops(harness, n);
    test::linears(harness, n);
    test::moes(harness, n);
    test::attentions(harness, n);
    test::ropes(harness, n);
    test::heads(harness, n);
  }
  return harness.report();
}
