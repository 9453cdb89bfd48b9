// ossia.kernels._native: a Program records ops with checked arrays, and runs them in one call without the GIL.
// An array of the wrong type or shape is a bug of the caller inside Ossia: AssertionError, naming op and array.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>
#include <pthread.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "experts.h"
#include "ops.h"
#include "pack.h"
#include "probe.h"
#include "threads.h"
#include "transfer.h"

namespace nb = nanobind;

namespace ossia {
namespace {

constexpr const char* kOpNames[kOps] = {"embed", "rms_norm", "quantize",    "linear",  "rope_store",   "attention",
                                        "route", "moe",      "gather_rows", "lm_head", "split_planes", "gumbel"};
constexpr const char* kNumericsNames[kNumerics] = {"q8", "bf16", "f32"};
constexpr const char* kIsaNames[kIsas] = {"scalar", "avx2", "avxvnni", "avx512", "neon", "neon_i8mm"};
constexpr const char* kKindNames[] = {"mxfp4", "q8", "bf16", "f32", "q8_planes"};

[[noreturn]] void refuse(const std::string& message) {
  PyErr_SetString(PyExc_AssertionError, message.c_str());
  throw nb::python_error();
}

void require(bool holds, const char* op, const char* what) {
  if (!holds) refuse(std::string(op) + ": " + what);
}

[[noreturn]] void raise_os_error(int error, const char* what) {
  PyErr_SetObject(PyExc_OSError, nb::make_tuple(error, what).ptr());
  throw nb::python_error();
}

// ---- the process's threads and instruction set ----

struct Process {
  std::mutex mutex;  // one program runs at a time
  std::unique_ptr<Team> team;
  Isa isa = Isa::scalar;
  int threads = 0;  // 0 = not configured
};

Process& process() {
  static Process* p = new Process;  // never destroyed: threads may still run at exit
  return *p;
}

// A forked child has none of the team's threads: forget the team, the next run makes another.
void before_fork() { process().mutex.lock(); }
void parent_after_fork() { process().mutex.unlock(); }
void child_after_fork() {
  (void)process().team.release();
  process().mutex.unlock();
}

void configure(int isa, int threads) {
  nb::gil_scoped_release release;
  Process& p = process();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (threads != p.threads) p.team.reset();
  p.isa = static_cast<Isa>(isa);
  p.threads = threads;
}

void shutdown() {
  nb::gil_scoped_release release;
  const std::lock_guard<std::mutex> lock(process().mutex);
  process().team.reset();
}

// ---- arrays ----

constexpr int64_t kAny = -1;

struct Array {
  void* data;
  char format;
  int64_t shape[4];
};

std::string describe(const Py_buffer& b) {
  std::string s = std::string("format ") + (b.format ? b.format : "?") + " (";
  for (int i = 0; i < b.ndim; i++) s += (i ? ", " : "") + std::to_string(b.shape[i]);
  return s + ")";
}

class Recorder {
 public:
  Recorder(const char* op, std::vector<nb::object>& kept) : op_(op), kept_(kept) {}

  // formats: the numpy format characters allowed (f float32, H uint16, i int32, b int8, B uint8).
  Array array(nb::handle h, const char* name, const char* formats, std::initializer_list<int64_t> shape,
              bool writable = false) {
    Py_buffer b;
    const int flags = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (writable ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(h.ptr(), &b, flags) != 0) {
      PyErr_Clear();
      refuse(text(name) + " must be a C-contiguous" + (writable ? " writable" : "") + " array");
    }
    const std::string what = matches(b, formats, shape) ? "" : describe(b);
    Array a{b.buf, b.format ? b.format[0] : 'B', {}};
    for (int i = 0; i < b.ndim && i < 4; i++) a.shape[i] = b.shape[i];
    PyBuffer_Release(&b);
    if (!what.empty()) refuse(text(name) + " must be " + expected(formats, shape) + ", got " + what);
    kept_.push_back(nb::borrow(h));
    return a;
  }

  template <class T>
  T* data(nb::handle h, const char* name, const char* formats, std::initializer_list<int64_t> shape,
          bool writable = false) {
    return static_cast<T*>(array(h, name, formats, shape, writable).data);
  }

  const float* optional(nb::handle h, const char* name, std::initializer_list<int64_t> shape) {
    return h.is_none() ? nullptr : data<const float>(h, name, "f", shape);
  }

  // K as (D, 64) in each block and head, V as (64, D); int8 with two rows of 64 bytes more, the scales.
  Cache cache(nb::handle h, bool writable) {
    const Array k = array(h.attr("k"), "kv.k", "fHb", {kAny, kAny, kAny, kTile}, writable);
    const int64_t rows = k.shape[2], d = k.format == 'b' ? rows - 2 : rows;
    require(d >= 16 && d % 16 == 0, op_, "head_dim must be a multiple of 16");
    const char format[] = {k.format, 0};
    const bool coded = k.format == 'b';
    void* v = data<void>(h.attr("v"), "kv.v", format,
                         {k.shape[0], k.shape[1], coded ? rows : kTile, coded ? kTile : d}, writable);
    const KvKind kind = k.format == 'f' ? KvKind::f32 : k.format == 'H' ? KvKind::bf16 : KvKind::int8;
    return {kind, k.data, v, k.shape[0], k.shape[1], d, rows * kTile};
  }

  Act activation(nb::handle h, const char* name, bool writable) {
    Act a{};
    a.numerics = static_cast<Numerics>(choice(h.attr("numerics"), name, kNumericsNames, kNumerics));
    const char* format = a.numerics == Numerics::q8 ? "b" : a.numerics == Numerics::bf16 ? "H" : "f";
    const Array d = array(h.attr("data"), name, format, {kAny, kAny}, writable);
    a.data = d.data;
    a.rows = d.shape[0];
    a.width = d.shape[1];
    require(a.width % 32 == 0, op_, "the width of an activation must be a multiple of 32");
    if (a.numerics == Numerics::q8) {
      a.scales = data<float>(h.attr("scales"), name, "f", {a.rows, a.width / 32}, writable);
      a.split = data<int8_t>(h.attr("split"), name, "b", {a.rows, a.width}, writable);
      a.sums = data<int32_t>(h.attr("sums"), name, "i", {a.rows, a.width / 32}, writable);
    }
    return a;
  }

  Mat matrix(nb::handle h, const char* name, Numerics numerics, bool planes_too = false) {
    Mat w{};
    w.kind = static_cast<Kind>(choice(h.attr("kind"), name, kKindNames, 5));
    const bool planes = w.kind == Kind::q8_planes && numerics == Numerics::q8 && planes_too;
    const bool fits = planes || w.kind == Kind::mxfp4 || static_cast<int>(w.kind) == static_cast<int>(numerics) + 1;
    require(fits, op_, "a weight of this kind does not multiply under these numerics");
    const nb::object data_object = h.attr("data");
    Array d;
    if (w.kind == Kind::mxfp4) {
      d = array(data_object, name, "B", {kAny, kAny, kAny, 16});
      d.shape[2] *= 32;
    } else {
      d = array(data_object, name,
                w.kind == Kind::q8 || planes ? "b"
                : w.kind == Kind::bf16       ? "H"
                                             : "f",
                {kAny, kAny, kAny});
    }
    w = {w.kind, d.data, nullptr, d.shape[0], d.shape[1], d.shape[2]};
    require(w.k % 32 == 0, op_, "the inner width of a weight must be a multiple of 32");
    if (w.kind == Kind::mxfp4) w.scales = data<uint8_t>(h.attr("scales"), name, "B", {w.count, w.n, w.k / 32});
    if (w.kind == Kind::q8 || planes) w.scales = data<float>(h.attr("scales"), name, "f", {w.count, w.n, w.k / 32});
    return w;
  }

 private:
  std::string text(const char* name) const { return std::string(op_) + ": " + name; }

  int choice(nb::handle h, const char* name, const char* const* names, int count) const {
    const char* s = PyUnicode_AsUTF8(h.ptr());
    for (int i = 0; s && i < count; i++)
      if (std::strcmp(s, names[i]) == 0) return i;
    PyErr_Clear();
    refuse(text(name) + " has an unknown numerics or kind");
  }

  static bool matches(const Py_buffer& b, const char* formats, std::initializer_list<int64_t> shape) {
    const char f = b.format ? b.format[0] : 'B';
    if (!std::strchr(formats, f) || b.ndim != static_cast<int>(shape.size())) return false;
    int i = 0;
    for (const int64_t n : shape)
      if (const int64_t have = b.shape[i++]; n != kAny && n != have) return false;
    return true;
  }

  static std::string expected(const char* formats, std::initializer_list<int64_t> shape) {
    std::string s = std::string("of format ") + formats + " and shape (";
    for (const int64_t n : shape)
      s += (s.back() == '(' ? "" : ", ") + (n == kAny ? std::string("any") : std::to_string(n));
    return s + ")";
  }

  const char* op_;
  std::vector<nb::object>& kept_;
};

// ---- the program ----

class Program {
 public:
  void embed(nb::handle table, nb::handle ids, nb::handle out) {
    Recorder r("embed", kept_);
    const Array t = r.array(table, "table", "fH", {kAny, kAny}), i = r.array(ids, "ids", "i", {kAny});
    require(t.shape[1] % 16 == 0, "embed", "the width must be a multiple of 16");
    float* o = r.data<float>(out, "out", "f", {i.shape[0], t.shape[1]}, true);
    push(Op::embed, Numerics::f32,
         EmbedArgs{t.data, t.format == 'H', static_cast<int32_t*>(i.data), o, i.shape[0], t.shape[1], t.shape[0]});
  }

  void rms_norm(nb::handle x, nb::handle weight, float eps, nb::handle out, nb::handle normed) {
    Recorder r("rms_norm", kept_);
    const Act o = r.activation(out, "out", true);
    const float* xs = r.data<float>(x, "x", "f", {o.rows, o.width});
    const float* w = r.data<float>(weight, "weight", "f", {o.width});
    float* n = normed.is_none() ? nullptr : r.data<float>(normed, "normed", "f", {o.rows, o.width}, true);
    push(Op::rms_norm, o.numerics, RmsNormArgs{xs, w, eps, o, n});
  }

  void quantize(nb::handle x, nb::handle out) {
    Recorder r("quantize", kept_);
    const Act o = r.activation(out, "out", true);
    push(Op::quantize, o.numerics, QuantizeArgs{r.data<float>(x, "x", "f", {o.rows, o.width}), o});
  }

  void linear(nb::handle x, nb::handle w, nb::handle bias, nb::handle out, bool accumulate) {
    Recorder r("linear", kept_);
    const Act a = r.activation(x, "x", false);
    const Mat m = r.matrix(w, "w", a.numerics);
    require(m.count == 1, "linear", "the weight must not be stacked");
    require(m.k == a.width, "linear", "x and w differ in width");
    const float* b = r.optional(bias, "bias", {m.n});
    push(Op::linear, a.numerics, LinearArgs{a, m, b, r.data<float>(out, "out", "f", {a.rows, m.n}, true), accumulate});
  }

  void rope_store(nb::handle qkv, nb::handle cos, nb::handle sin, nb::handle slots, nb::handle kv, int64_t heads) {
    Recorder r("rope_store", kept_);
    const Cache c = r.cache(kv, true);
    const int64_t rows = r.array(slots, "slots", "i", {kAny}).shape[0], d = c.head_dim;
    float* q = r.data<float>(qkv, "qkv", "f", {rows, (heads + 2 * c.kv_heads) * d}, true);
    const int32_t* s = r.data<int32_t>(slots, "slots", "i", {rows});
    push(Op::rope_store, Numerics::f32,
         RopeStoreArgs{q, r.data<float>(cos, "cos", "f", {rows, d / 2}), r.data<float>(sin, "sin", "f", {rows, d / 2}), s,
                       c, rows, heads});
  }

  void attention(nb::handle qkv, nb::handle kv, nb::handle positions, nb::handle rows, nb::handle table,
                 nb::handle sinks, int64_t window, float scale, nb::handle out) {
    Recorder r("attention", kept_);
    const Cache c = r.cache(kv, false);
    const Act o = r.activation(out, "out", true);
    const Array s = r.array(sinks, "sinks", "f", {kAny}), b = r.array(table, "table", "i", {kAny, kAny});
    const int64_t heads = s.shape[0], tokens = o.rows, groups = c.kv_heads, d = c.head_dim;
    require(heads > 0 && heads % groups == 0 && o.width == heads * d, "attention", "head counts differ");
    require(window >= 0, "attention", "the window must not be negative");
    const float* q = r.data<float>(qkv, "qkv", "f", {tokens, (heads + 2 * groups) * d});
    const int32_t* p = r.data<int32_t>(positions, "positions", "i", {tokens});
    push(Op::attention, o.numerics,
         AttentionArgs{q, c, p, r.data<int32_t>(rows, "rows", "i", {tokens}), static_cast<int32_t*>(b.data),
                       static_cast<float*>(s.data), window, scale, o, heads, b.shape[0], b.shape[1]});
  }

  void route(nb::handle normed, nb::handle router, nb::handle bias, int64_t top_k, nb::handle ids, nb::handle weights) {
    Recorder r("route", kept_);
    const Array x = r.array(normed, "normed", "f", {kAny, kAny});
    const Array w = r.array(router, "router", "f", {kAny, x.shape[1]});
    require(x.shape[1] % 16 == 0, "route", "the width must be a multiple of 16");
    require(top_k >= 1 && top_k <= w.shape[0], "route", "top_k must be between 1 and the number of experts");
    const float* b = r.data<float>(bias, "bias", "f", {w.shape[0]});
    int32_t* i = r.data<int32_t>(ids, "ids", "i", {x.shape[0], top_k}, true);
    float* o = r.data<float>(weights, "weights", "f", {x.shape[0], top_k}, true);
    push(Op::route, Numerics::f32,
         RouteArgs{static_cast<float*>(x.data), static_cast<float*>(w.data), b, i, o, x.shape[0], x.shape[1],
                   w.shape[0], top_k});
  }

  void moe(nb::handle x, nb::handle ids, nb::handle weights, nb::handle gate_up, nb::handle gate_up_bias,
           nb::handle down, nb::handle down_bias, float limit, float alpha, nb::handle out, nb::handle cache,
           int64_t layer) {
    Recorder r("moe", kept_);
    const Act a = r.activation(x, "x", false);
    const Mat g = r.matrix(gate_up, "gate_up", a.numerics), d = r.matrix(down, "down", a.numerics);
    require(g.k == a.width && g.n == 2 * d.k && g.count == d.count, "moe", "the shapes of gate_up and down differ");
    require(d.n % 32 == 0, "moe", "the hidden width must be a multiple of 32");
    const Array i = r.array(ids, "ids", "i", {a.rows, kAny});
    const float* w = r.data<float>(weights, "weights", "f", {a.rows, i.shape[1]});
    const float* gb = r.data<float>(gate_up_bias, "gate_up_bias", "f", {g.count, g.n});
    const float* db = r.data<float>(down_bias, "down_bias", "f", {d.count, d.n});
    float* o = r.data<float>(out, "out", "f", {a.rows, d.n}, true);
    ExpertCache* c = cache.is_none() ? nullptr : nb::cast<ExpertCache*>(cache);
    if (c) require_same_experts(*c, layer, g, d);
    if (c) kept_.push_back(nb::borrow(cache));
    cache_ = c ? c : cache_;
    push(Op::moe, a.numerics,
         MoeArgs{a, static_cast<int32_t*>(i.data), w, g, d, gb, db, limit, alpha, o, i.shape[1], c, layer});
  }

  void gather_rows(nb::handle x, nb::handle rows, nb::handle out) {
    Recorder r("gather_rows", kept_);
    const Array a = r.array(x, "x", "f", {kAny, kAny}), i = r.array(rows, "rows", "i", {kAny});
    float* o = r.data<float>(out, "out", "f", {i.shape[0], a.shape[1]}, true);
    push(Op::gather_rows, Numerics::f32,
         GatherRowsArgs{static_cast<float*>(a.data), static_cast<int32_t*>(i.data), o, i.shape[0], a.shape[1],
                        a.shape[0]});
  }

  void lm_head(nb::handle x, nb::handle w, nb::handle asked, nb::handle chosen, nb::handle rescored, nb::handle logits,
               nb::handle screen) {
    Recorder r("lm_head", kept_);
    const Act a = r.activation(x, "x", false);
    const Mat m = r.matrix(w, "w", a.numerics, true);
    require(m.count == 1 && m.k == a.width, "lm_head", "the weight must not be stacked, and as wide as x");
    require(m.kind != Kind::mxfp4, "lm_head", "the weight must be dense");
    LmHeadArgs args{a, m, asked_of(r, asked, a.rows, m.n), nullptr, nullptr, nullptr, 1, 0, nullptr, 0, 0};
    args.chosen = r.data<int32_t>(chosen, "chosen", "i", {a.rows}, true);
    args.rescored = r.data<int32_t>(rescored, "rescored", "i", {a.rows}, true);
    args.logits = r.data<float>(logits, "logits", "f", {a.rows, m.n}, true);
    if (!screen.is_none()) {
      const Array doubtful = r.array(screen.attr("doubtful"), "doubtful", "i", {kAny});
      args.doubtful = static_cast<int32_t*>(doubtful.data);
      args.doubtful_count = doubtful.shape[0];
      args.gain = nb::cast<float>(screen.attr("gain"));
      args.sigmas = nb::cast<float>(screen.attr("sigmas"));
      args.most_rows = nb::cast<int64_t>(screen.attr("most_rows"));
    }
    push(Op::lm_head, a.numerics, args);
  }

  void split_planes(nb::handle data, nb::handle scales, nb::handle stats) {
    Recorder r("split_planes", kept_);
    const Array d = r.array(data, "data", "b", {kAny, kAny}, true);
    const int64_t n = d.shape[0], k = d.shape[1];
    require(k % 32 == 0, "split_planes", "the width must be a multiple of 32");
    float* s = r.data<float>(scales, "scales", "f", {n, k / 32}, true);
    push(Op::split_planes, Numerics::q8,
         SplitPlanesArgs{static_cast<int8_t*>(d.data), s, r.data<double>(stats, "stats", "d", {n, 5}, true), n, k});
  }

  void gumbel(uint64_t key, nb::handle ids, nb::handle out) {
    Recorder r("gumbel", kept_);
    const Array i = r.array(ids, "ids", "lq", {kAny});
    push(
        Op::gumbel, Numerics::f32,
        GumbelArgs{key, static_cast<int64_t*>(i.data), r.data<float>(out, "out", "f", {i.shape[0]}, true), i.shape[0]});
  }

  void run() {
    const char* error = nullptr;
    {
      nb::gil_scoped_release release;
      Process& p = process();
      const std::lock_guard<std::mutex> lock(p.mutex);
      if (!p.team) p.team = std::make_unique<Team>(p.threads > 0 ? p.threads : 1);
      const ExactFloats exact;
      for (const Node& node : nodes_) {
        find_kernel(node.op, node.numerics, p.isa)(node.args.get(), *p.team);
        if ((error = p.team->take_error())) break;
      }
    }
    if (const int e = cache_ ? cache_->failure().error : 0) raise_os_error(e, "an expert cannot be read from its file");
    if (error) refuse(error);
  }

  size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    Op op;
    Numerics numerics;
    std::shared_ptr<void> args;
  };

  static Asked asked_of(Recorder& r, nb::handle h, int64_t rows, int64_t vocab) {
    const Array masks = r.array(h.attr("masks"), "masks", "B", {kAny, vocab});
    const Array ids = r.array(h.attr("edit_ids"), "edit_ids", "i", {kAny});
    Asked a{};
    a.whole = r.data<uint8_t>(h.attr("whole"), "whole", "B", {rows});
    a.temperatures = r.data<float>(h.attr("temperatures"), "temperatures", "f", {rows});
    a.keys = r.data<uint64_t>(h.attr("keys"), "keys", "LQ", {rows});
    a.mask_of = r.data<int32_t>(h.attr("mask_of"), "mask_of", "i", {rows});
    a.masks = static_cast<uint8_t*>(masks.data);
    a.penalties = r.data<float>(h.attr("penalties"), "penalties", "f", {rows, 3});
    a.edit_ends = r.data<int32_t>(h.attr("edit_ends"), "edit_ends", "i", {rows});
    a.edit_ids = static_cast<int32_t*>(ids.data);
    a.edit_bias = r.data<float>(h.attr("edit_bias"), "edit_bias", "f", {ids.shape[0]});
    a.edit_counts = r.data<float>(h.attr("edit_counts"), "edit_counts", "f", {ids.shape[0]});
    a.mask_count = masks.shape[0];
    a.edit_count = ids.shape[0];
    return a;
  }

  template <class Args>
  void push(Op op, Numerics numerics, const Args& args) {
    nodes_.push_back({op, numerics, std::make_shared<Args>(args)});
  }

  static void require_same_experts(const ExpertCache& c, int64_t layer, const Mat& gate_up, const Mat& down) {
    require(layer >= 0 && layer < c.layers() && gate_up.count == c.experts(), "moe", "the cache is of another model");
    require(gate_up.kind == Kind::mxfp4 && down.kind == Kind::mxfp4, "moe", "only experts in MXFP4 can be streamed");
    const int64_t blocks[2] = {gate_up.n * gate_up.k / 32, down.n * down.k / 32};
    for (int part = 0; part < ExpertCache::kParts; part++)
      require(c.part_bytes(part) == blocks[part / 2] * (part % 2 ? 1 : 16), "moe",
              "the cache's experts differ in size");
  }

  std::vector<Node> nodes_;
  std::vector<nb::object> kept_;
  ExpertCache* cache_ = nullptr;  // one of those kept
};

// ---- experts that are not all in memory ----

std::unique_ptr<ExpertCache> make_cache(int64_t layers, int64_t experts, int64_t slots,
                                        const std::vector<int64_t>& part_bytes, int readers) {
  require(layers > 0 && experts > 0 && slots >= experts, "ExpertCache", "a layer's experts must have slots");
  require(part_bytes.size() == ExpertCache::kParts && readers > 0, "ExpertCache", "four parts, and somebody to read");
  return std::make_unique<ExpertCache>(layers, experts, slots, part_bytes, readers);
}

int cache_add_file(ExpertCache& cache, int fd, bool direct) {
  const int file = cache.add_file(fd, direct);
  if (file < 0) raise_os_error(EMFILE, "a file cannot be opened once more");
  return file;
}

nb::tuple cache_counts(ExpertCache& cache) {
  const auto counts = cache.counts();
  return nb::make_tuple(counts.asked, counts.read, counts.bytes);
}

nb::object cache_take_failure(ExpertCache& cache) {
  const auto failure = cache.take_failure();
  return failure.error ? nb::object(nb::make_tuple(failure.layer, failure.part, failure.error)) : nb::none();
}

nb::list kernels() {
  nb::list out;
  for (int op = 0; op < kOps; op++)
    for (int n = 0; n < kNumerics; n++)
      for (int isa = 0; isa < kIsas; isa++)
        if (find_kernel(static_cast<Op>(op), static_cast<Numerics>(n), static_cast<Isa>(isa)))
          out.append(nb::make_tuple(kOpNames[op], kNumericsNames[n], kIsaNames[isa]));
  return out;
}

nb::list isas() {
  nb::list out;
  for (int isa = 0; isa < kIsas; isa++)
    if (isa_available(static_cast<Isa>(isa))) out.append(kIsaNames[isa]);
  return out;
}

void configure_by_name(const std::string& isa, int threads) {
  require(threads >= 1, "configure", "threads must be at least 1");
  for (int i = 0; i < kIsas; i++)
    if (isa == kIsaNames[i] && isa_available(static_cast<Isa>(i))) return configure(i, threads);
  refuse("configure: this CPU has no " + isa);
}

nb::object configured() {
  const Process& p = process();
  if (!p.threads) return nb::none();
  return nb::make_tuple(kIsaNames[static_cast<int>(p.isa)], p.threads);
}

// ---- weights on their way into memory: on the calling thread, beside a program that runs ----

bool pack_weights(nb::handle from, nb::handle data, nb::handle scales) {
  std::vector<nb::object> kept;
  Recorder r("pack_q8", kept);
  const Array w = r.array(from, "from", "fH", {kAny, kAny});
  const int64_t rows = w.shape[0], width = w.shape[1];
  require(width % 32 == 0, "pack_q8", "the width must be a multiple of 32");
  const PackArgs args{w.data, w.format == 'H', r.data<int8_t>(data, "data", "b", {rows, width}, true),
                      r.data<float>(scales, "scales", "f", {rows, width / 32}, true), rows * width / 32};
  const Isa isa = process().isa;
  const nb::gil_scoped_release release;
  return pack_q8(args, isa);
}

// Notes what shall be filled from files, as bytes of open descriptors, and keeps the arrays alive.
class Loading {
 public:
  void populate(nb::handle mapped, int fd, int64_t offset) {
    const Array a = Recorder("populate", kept_).array(mapped, "mapped", "B", {kAny});
    work_.add({Transfers::Kind::populate, fd, offset, a.shape[0], a.data, nullptr, false});
  }

  void read(nb::handle out, int fd, int64_t offset) {
    const Array a = Recorder("read", kept_).array(out, "out", "B", {kAny}, true);
    work_.add({Transfers::Kind::read, fd, offset, a.shape[0], a.data, nullptr, false});
  }

  void widen(nb::handle out, int fd, int64_t offset) {
    const Array a = Recorder("widen", kept_).array(out, "out", "f", {kAny}, true);
    work_.add({Transfers::Kind::widen, fd, offset, 2 * a.shape[0], a.data, nullptr, true});
  }

  void pack(nb::handle data, nb::handle scales, int fd, int64_t offset, bool from_is_bf16) {
    Recorder r("pack", kept_);
    const Array d = r.array(data, "data", "b", {kAny, kAny}, true);
    require(d.shape[1] % 32 == 0, "pack", "the width must be a multiple of 32");
    float* s = r.data<float>(scales, "scales", "f", {d.shape[0], d.shape[1] / 32}, true);
    const int64_t bytes = d.shape[0] * d.shape[1] * (from_is_bf16 ? 2 : 4);
    work_.add({Transfers::Kind::pack, fd, offset, bytes, d.data, s, from_is_bf16});
  }

  nb::object run(int threads, bool drop) {
    const Isa isa = process().isa;
    Transfers::Outcome outcome;
    {
      const nb::gil_scoped_release release;
      outcome = work_.run(threads, isa, drop);
    }
    return outcome.error ? nb::object(nb::make_tuple(outcome.transfer, outcome.error)) : nb::none();
  }

  int64_t done() const { return work_.done(); }
  void stop() { work_.stop(); }

 private:
  Transfers work_;
  std::vector<nb::object> kept_;
};

// ---- what the machine gives at most ----

template <class Measure>
double probe(Measure measure) {
  const nb::gil_scoped_release release;
  Process& p = process();
  const std::lock_guard<std::mutex> lock(p.mutex);
  if (!p.team) p.team = std::make_unique<Team>(p.threads > 0 ? p.threads : 1);
  return measure(find_probe(p.isa), *p.team);
}

double probe_read(nb::handle buffer) {
  std::vector<nb::object> kept;
  const Array a = Recorder("probe_read", kept).array(buffer, "buffer", "B", {kAny});
  return probe([&](const Probe& of, Team& team) { return of.read(a.data, a.shape[0], team); });
}

nb::tuple probe_peak(bool int8, double seconds) {
  const Peak peak = int8 ? Peak::int8 : Peak::f32;
  const double rate = probe([&](const Probe& of, Team& team) { return of.peak(peak, seconds, team); });
  return nb::make_tuple(rate, find_probe(process().isa).instruction[static_cast<int>(peak)]);
}

}  // namespace
}  // namespace ossia

NB_MODULE(_native, m) {
  using ossia::Program;
  pthread_atfork(ossia::before_fork, ossia::parent_after_fork, ossia::child_after_fork);
  nb::class_<Program>(m, "Program")
      .def(nb::init<>())
      .def("embed", &Program::embed)
      .def("rms_norm", &Program::rms_norm, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none())
      .def("quantize", &Program::quantize)
      .def("linear", &Program::linear, nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg())
      .def("rope_store", &Program::rope_store)
      .def("attention", &Program::attention)
      .def("route", &Program::route)
      .def("moe", &Program::moe, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
           nb::arg(), nb::arg(), nb::arg().none(), nb::arg())
      .def("gather_rows", &Program::gather_rows)
      .def("lm_head", &Program::lm_head, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
           nb::arg().none())
      .def("split_planes", &Program::split_planes)
      .def("gumbel", &Program::gumbel)
      .def("run", &Program::run)
      .def("__len__", &Program::size);
  m.def("kernels", &ossia::kernels);
  m.def("isas", &ossia::isas);
  m.def("configure", &ossia::configure_by_name);
  m.def("configured", &ossia::configured);
  m.def("shutdown", &ossia::shutdown);
  m.def("pack_q8", &ossia::pack_weights);
  using ossia::Loading;
  nb::class_<Loading>(m, "Loading")
      .def(nb::init<>())
      .def("populate", &Loading::populate)
      .def("read", &Loading::read)
      .def("widen", &Loading::widen)
      .def("pack", &Loading::pack)
      .def("run", &Loading::run)
      .def("done", &Loading::done)
      .def("stop", &Loading::stop);
  using ossia::ExpertCache;
  nb::class_<ExpertCache>(m, "ExpertCache")
      .def(nb::new_(&ossia::make_cache))
      .def("add_file", &ossia::cache_add_file)
      .def("place", &ExpertCache::place)
      .def("counts", &ossia::cache_counts)
      .def("take_failure", &ossia::cache_take_failure)
      .def_static("slot_bytes", &ExpertCache::slot_bytes);
  m.def("probe_read", &ossia::probe_read);
  m.def("probe_peak", &ossia::probe_peak);
  nb::module_::import_("atexit").attr("register")(m.attr("shutdown"));
}
