#include <pthread.h>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "server/service.h"

namespace reprise::server {

struct WorkerPool::Impl {
  explicit Impl(size_t threads) : pool(threads) {}
  boost::asio::thread_pool pool;
};

WorkerPool::WorkerPool(size_t threads) : impl_(std::make_unique<Impl>(threads)) {}

WorkerPool::~WorkerPool() {
  finish();
}

void WorkerPool::finish() {
  impl_->pool.join();
}

void WorkerPool::post(std::function<void()> task) {
  boost::asio::post(impl_->pool, std::move(task));
}

}  // namespace reprise::server
