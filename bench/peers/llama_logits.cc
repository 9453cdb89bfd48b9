// llama.cpp's own logits and routing of given tokens, for bench/accuracy.py to compare. Knows nothing of Ossia.
//
//   g++ -O2 -std=c++17 bench/peers/llama_logits.cc -o llama_logits -I LLAMA/include -I LLAMA/ggml/include
//       -L LIBRARIES -lllama -lggml -lggml-base -Wl,-rpath,LIBRARIES
//   ./llama_logits MODEL.gguf THREADS
//
// Reads requests from standard input: an int32 count n, then n int32 token ids. Answers each on standard output:
// int32 layers L, experts K, vocabulary V; then for every token V float32 logits; then L·n·K int32, the experts
// each token was sent to, best first. Every request starts with an empty cache.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"

namespace {

constexpr int kMostTokens = 2048;

// By layer: (n, K) of the request, in the order of its tokens.
using Routing = std::map<int, std::vector<int32_t>>;

bool watch(ggml_tensor *t, bool ask, void *data) {
  const char prefix[] = "ffn_moe_topk-";
  if (std::strncmp(t->name, prefix, sizeof prefix - 1) != 0) return !ask;
  if (ask) return true;
  auto &rows = (*static_cast<Routing *>(data))[std::atoi(t->name + sizeof prefix - 1)];
  const auto k = t->ne[0], n = t->ne[1];
  const auto at = rows.size();
  rows.resize(at + size_t(k) * size_t(n));
  for (int64_t i = 0; i < n; ++i)  // a view into the sorted indices of all experts, so row by row
    ggml_backend_tensor_get(t, rows.data() + at + size_t(i) * size_t(k), size_t(i) * t->nb[1],
                            size_t(k) * sizeof(int32_t));
  return true;
}

void fail(const char *what) {
  std::fprintf(stderr, "llama_logits: %s\n", what);
  std::exit(1);
}

void put(const void *data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, stdout) != bytes) fail("standard output ended");
}

void answer(llama_context *context, const std::vector<int32_t> &ids, int32_t vocab, Routing &routing) {
  routing.clear();
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(int32_t(ids.size()), 0, 1);
  batch.n_tokens = int32_t(ids.size());
  for (int32_t i = 0; i < batch.n_tokens; ++i) {
    batch.token[i] = ids[size_t(i)];
    batch.pos[i] = i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  if (llama_decode(context, batch) != 0) fail("decoding failed");
  const int32_t layers = int32_t(routing.size());
  const int32_t k = layers == 0 ? 0 : int32_t(routing.begin()->second.size() / ids.size());
  const int32_t head[3] = {layers, k, vocab};
  put(head, sizeof head);
  for (int32_t i = 0; i < batch.n_tokens; ++i)
    put(llama_get_logits_ith(context, i), size_t(vocab) * sizeof(float));
  for (const auto &layer : routing) put(layer.second.data(), layer.second.size() * sizeof(int32_t));
  std::fflush(stdout);
  llama_batch_free(batch);
}

}  // namespace

int main(int count, char **given) {
  if (count != 3) fail("usage: llama_logits MODEL.gguf THREADS");
  llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  llama_backend_init();
  llama_model *model = llama_model_load_from_file(given[1], llama_model_default_params());
  if (model == nullptr) fail("the model cannot be loaded");
  Routing routing;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = kMostTokens;
  params.n_threads = params.n_threads_batch = std::atoi(given[2]);
  params.cb_eval = watch;
  params.cb_eval_user_data = &routing;
  llama_context *context = llama_init_from_model(model, params);
  if (context == nullptr) fail("no context");
  const int32_t vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (int32_t n = 0; std::fread(&n, sizeof n, 1, stdin) == 1;) {
    if (n < 1 || n > kMostTokens) fail("a request has 1 to 2048 tokens");
    std::vector<int32_t> ids(static_cast<size_t>(n));
    if (std::fread(ids.data(), sizeof(int32_t), ids.size(), stdin) != ids.size()) fail("half a request");
    answer(context, ids, vocab, routing);
  }
  llama_free(context);
  llama_model_free(model);
}
