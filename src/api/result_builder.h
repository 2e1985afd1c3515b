// The result of one prompt, from the events of its request.
#pragma once

#include <optional>
#include <string>

#include "api/output_assembler.h"
#include "api/prepare.h"
#include "reprise/reprise.h"

namespace reprise::api {

// One thread at a time.
class ResultBuilder {
 public:
  // A prompt that can't run: its result is the error.
  explicit ResultBuilder(std::string error);
  explicit ResultBuilder(const PreparedRequest& prepared);

  // The next event. What the returned delta asks for is for the caller to do; valid until the next call. Throws nothing:
  // where the result can't be kept, it has an error and the delta asks for an abort.
  OutputDelta& take(const engine::OutputEvent& event) noexcept;
  // The exception that is being handled becomes the result's error; later events add nothing.
  void fail() noexcept;
  bool runs() const { return assembler_.has_value(); }
  bool finished() const { return !assembler_.has_value() || assembler_->finished(); }
  const Output& output(int number) const { return result_.outputs[static_cast<size_t>(number)]; }
  // When it is finished; once.
  Result finish();

 private:
  void absorb(OutputDelta& delta);

  Result result_;
  std::optional<OutputAssembler> assembler_;
};

}  // namespace reprise::api
