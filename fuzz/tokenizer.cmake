foreach(part json stream)
  reprise_fuzzer(tokenizer_${part} SOURCES tokenizer_${part}_fuzz.cc DEPS reprise_tokenizer)
endforeach()
