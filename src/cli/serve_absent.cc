// `reprise serve` of a build without the server.
#include "cli/command_line.h"
#include "cli/commands.h"

namespace reprise::cli {

void add_serve(Command& program) {
  program.add_command("serve", "Serve a model over HTTP (not in this build)")
      .absent(
          "[serve] this build has no server: it was made without Boost 1.81 or yaml-cpp; install libyaml-cpp-dev and "
          "libboost1.81-dev (Debian 12) or libboost1.83-dev and build again");
}

}  // namespace reprise::cli
