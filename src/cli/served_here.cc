#include "cli/served_here.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "api/serving_model.h"
#include "cli/say.h"
#include "core/error.h"
#include "server/server.h"

namespace reprise::cli {
namespace {

// A folder for its owner alone, deleted at the end.
struct PrivateFolder {
  PrivateFolder() : path((std::filesystem::temp_directory_path() / "reprise-XXXXXX").string()) {
    if (mkdtemp(path.data()) == nullptr)
      throw Error("no folder for a socket can be made at {}: {}; set TMPDIR", path, std::strerror(errno));
  }
  ~PrivateFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  std::string path;
};

}  // namespace

struct ServedHere::Impl {
  explicit Impl(const LoadOptions& load) : model(load) {
    for (const std::string& warning : model.info().warnings) say_warning(warning);
    server::ServerOptions options;
    options.http.uds = folder.path + "/socket";
    options.service.model_names = {"model"};
    options.service.log_requests = false;
    server.emplace(options, model);
  }
  PrivateFolder folder;
  api::ServingModel model;
  std::optional<server::Server> server;
};

ServedHere::ServedHere(const LoadOptions& load) : impl_(std::make_unique<Impl>(load)) {}
ServedHere::~ServedHere() = default;
std::string ServedHere::url() const {
  return impl_->server->address();
}

}  // namespace reprise::cli
