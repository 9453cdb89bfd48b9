// populate: the pages of a mapped file, brought in by the system in one call where it can, touched one by one else.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "pack.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14
#endif

namespace ossia {
namespace {

int touch(const char* begin, const char* end, size_t page) {
  unsigned char seen = 0;
  for (const volatile char* p = begin; p < end; p += page) seen ^= static_cast<unsigned char>(*p);
  (void)seen;
  return 0;
}

}  // namespace

int populate(const void* data, size_t size) {
  if (size == 0) return 0;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(data), begin = first / page * page;
  char* at = reinterpret_cast<char*>(begin);
  const size_t length = first + size - begin;
  int result;
  do {
    result = madvise(at, length, MADV_POPULATE_READ);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return 0;
  return errno == EINVAL || errno == ENOSYS ? touch(at, at + length, page) : errno;
}

}  // namespace ossia
