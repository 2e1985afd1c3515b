// What systemd hands a service and wants to hear of it, without its library: sockets that listen already (socket
// activation) and the state of the service (sd_notify). Both are environment variables and a few lines; sd_listen_fds(3) and
// sd_notify(3) describe them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise::cli {

struct InheritedSockets {
  std::vector<int> http, metrics;  // descriptors
};

// Sockets of LISTEN_FDS, where LISTEN_PID is this process; those named "metrics" (FileDescriptorName=) apart. From then on
// they are not inherited by programs that this one starts. Throws Error on one that is no stream socket that listens, and on
// variables that are malformed. To be called once, before threads are started.
InheritedSockets take_inherited_sockets();

// Tells whoever NOTIFY_SOCKET names, such as "READY=1"; false where that fails. Does nothing where there is no such
// variable.
bool notify_service_manager(std::string_view state);

}  // namespace reprise::cli
