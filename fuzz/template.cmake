reprise_fuzzer(template SOURCES template_fuzz.cc DEPS reprise_template)
target_compile_options(reprise_template PRIVATE -fsanitize=fuzzer-no-link)
