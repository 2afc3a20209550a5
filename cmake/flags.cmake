# Warnings are errors. WEIR_SANITIZE: "", "address,undefined" or "thread"; WEIR_FUZZ builds the fuzzers (clang).
option(WEIR_FUZZ "build the fuzzers (needs clang)" OFF)
set(WEIR_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize= takes them")

add_library(weir_flags INTERFACE)
target_compile_definitions(weir_flags INTERFACE _GNU_SOURCE WEIR_VERSION="${PROJECT_VERSION}")
target_include_directories(weir_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(weir_flags INTERFACE
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef -Wvla
	-Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wcast-qual -Werror -fno-common -g)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	target_compile_options(weir_flags INTERFACE -Wimplicit-fallthrough=5 -Wlogical-op -Wduplicated-cond)
else() # a text of several lines in a table is meant as one
	target_compile_options(weir_flags INTERFACE -Wno-string-concatenation)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
	target_compile_options(weir_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong)
	# What gcc guesses from the flow of optimised code is often wrong; the dev preset keeps these as errors.
	target_compile_options(weir_flags INTERFACE -Wno-maybe-uninitialized -Wno-format-truncation -Wno-format-overflow)
	target_link_options(weir_flags INTERFACE -pie -Wl,-z,relro,-z,now)
endif()
if(WEIR_SANITIZE)
	target_compile_options(weir_flags INTERFACE -Wno-maybe-uninitialized -Wno-format-truncation -Wno-format-overflow
		-Wno-stringop-overflow -Wno-null-dereference)
	target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer)
	target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
if(WEIR_FUZZ)
	target_compile_options(weir_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
	target_link_options(weir_flags INTERFACE -fsanitize=address,undefined)
endif()
