// mmap and pthread_create that count as calls of RefusedCalls (tests/count_new.h) and can be refused like
// memory.
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cerrno>
#include <string_view>

#include "tests/count_new.h"
#include "tests/faults/sweep.h"

bool reprise::in_json_destructor() {
  void* frames[64];
  const int count = backtrace(frames, 64);
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0 || info.dli_sname == nullptr) continue;
    const std::string_view name = info.dli_sname;  // ...nlohmann...json_value7destroyE...
    if (name.find("json_value") != name.npos && name.find("destroy") != name.npos) return true;
  }
  return false;
}

// The linker sends the project's calls of mmap here (--wrap=mmap).
extern "C" void* __real_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset);
extern "C" void* __wrap_mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (reprise::refuse_call()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return __real_mmap(address, length, protection, flags, fd, offset);
}

// Clang's AddressSanitizer is linked into the program, so its own pthread_create is not the next one of that
// name.
extern "C" int __interceptor_pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                            void* (*start)(void*), void* argument) __attribute__((weak));

// std::thread calls this one from within libstdc++, so it is replaced by its name.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const Create create = __interceptor_pthread_create != nullptr
                                   ? __interceptor_pthread_create
                                   : reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (reprise::refuse_call()) return EAGAIN;
  return create(thread, attributes, start, argument);
}
