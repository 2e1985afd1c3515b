// Answers of a server with OpenAI's API, streamed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cli/answerer.h"
#include "core/json.h"

namespace reprise::cli {

class RemoteAnswerer final : public Answerer {
 public:
  // `fields`: further ones of every request.
  RemoteAnswerer(std::unique_ptr<client::HttpLoop> loop, RemoteModel model, Json fields)
      : loop_(std::move(loop)), model_(std::move(model)), fields_(std::move(fields)) {}
  void set_seed(uint64_t seed) { fields_["seed"] = seed; }
  Answer answer(const Question& question, const std::function<bool(std::string_view)>& on_text) override;
  std::string description() const override { return model_.name + " of " + loop_->url().shown; }

 private:
  std::unique_ptr<client::HttpLoop> loop_;
  RemoteModel model_;
  Json fields_;
};

// `model`: empty: the first that the server lists. Throws Error where it can't be reached.
std::unique_ptr<RemoteAnswerer> make_remote_answerer(std::unique_ptr<client::HttpLoop> loop,
                                                     const std::string& model, Json fields);

}  // namespace reprise::cli
