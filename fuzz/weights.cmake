foreach(parser safetensors gguf config json)
  reprise_fuzzer(${parser} SOURCES ${parser}_fuzz.cc DEPS reprise_weights)
endforeach()
