// Any text as a graph: an Error, or a graph that can be checked and whose printed form is read back as
// itself.
#include <string>

#include "core/error.h"
#include "fuzz/amplify.h"
#include "graph/text.h"
#include "graph/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::graph;
  const std::string text = reprise::fuzz::amplified(data, size);
  Graph graph;
  try {
    graph = parse(text);
  } catch (const reprise::Error&) {
    return 0;
  }
  problems_of(graph);
  const std::string printed = print(graph);
  REPRISE_CHECK(print(parse(printed)) == printed, "a printed graph changes when it is read back");
  return 0;
}
