// The line that the log has for each request. Prompts, outputs and keys are never in it.
#pragma once

#include <string>

#include "server/reply_writer.h"

namespace reprise::server {

struct RequestLine {
  std::string id = {}, client = {}, path = {};
  std::string trace = {};  // the traceparent field of the request; its trace id is logged
  int status = 200;
  ReplyUsage usage = {};
  double queue_s = 0, first_token_s = 0, total_s = 0;  // 0: never came
  std::string reason = {};                             // why it ended: stop, length, abort, error
};

// To standard error, in one write. False where it can't be written at once (a full disk, a pipe that nobody
// reads): the line is lost, and nobody waits.
bool write_request_line(const RequestLine& line, bool json);

}  // namespace reprise::server
