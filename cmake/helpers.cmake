# What CMakeLists.txt uses more than once, or what would hide its outline.

# A library needs one source at least; `list` (a name) gets an empty one if it has none.
function(cql_or_empty list)
  if(NOT ${list})
    set(empty ${PROJECT_BINARY_DIR}/empty.c)
    file(WRITE ${empty} "typedef int cql__empty_t;\n")
    set(${list} ${empty} PARENT_SCOPE)
  endif()
endfunction()

# A missing function shows when the library is linked, not when a script first calls it.
# (Sanitized libraries leave their runtime's symbols open.)
function(cql_no_undefined target)
  if(NOT CQL_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# One program for each .c of `folder`, named as the file.
#   PUBLIC_HEADER_ONLY  it sees include/ and not src/, as a user's program does
function(cql_programs folder)
  cmake_parse_arguments(arg "PUBLIC_HEADER_ONLY" "" "LIBRARIES" ${ARGN})
  file(GLOB programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.c)
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "/" "_" target ${folder}_${name})
    add_executable(${target} ${source})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
                          RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
    target_link_libraries(${target} PRIVATE ${arg_LIBRARIES} cql_program)
    if(arg_PUBLIC_HEADER_ONLY)
      target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    endif()
  endforeach()
endfunction()

# Options of programs that aren't the library: its warnings and sanitizers, nothing of its insides.
add_library(cql_program INTERFACE)
target_compile_features(cql_program INTERFACE c_std_11)
target_compile_definitions(cql_program INTERFACE _GNU_SOURCE)
target_compile_options(cql_program INTERFACE -Wall -Wextra $<$<BOOL:${CQL_WERROR}>:-Werror>)
if(CQL_SANITIZE)
  target_compile_options(cql_program INTERFACE -fsanitize=${CQL_SANITIZE})
  target_link_options(cql_program INTERFACE -fsanitize=${CQL_SANITIZE})
endif()

# bench/bench_*.c are clients on top of the library, route.c sees its insides, malloccount.c is
# preloaded into other programs, and the rest (the canned server, the raw client) stand alone: they
# are what we compare with.
function(cql_bench)
  file(GLOB programs CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.c)
  foreach(source IN LISTS programs)
    get_filename_component(name ${source} NAME_WE)
    if(name STREQUAL malloccount)
      add_library(bench_${name} MODULE ${source})
      set_target_properties(bench_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
                            LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
    else()
      add_executable(bench_${name} ${source})
      set_target_properties(bench_${name} PROPERTIES OUTPUT_NAME ${name}
                            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
    endif()
    target_link_libraries(bench_${name} PRIVATE cql_program m ${CMAKE_DL_LIBS} Threads::Threads)
    if(name MATCHES "^bench_")
      target_include_directories(bench_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
      target_link_libraries(bench_${name} PRIVATE cql)
    elseif(name STREQUAL route)
      target_link_libraries(bench_${name} PRIVATE cql_static cql_options)
    endif()
  endforeach()
endfunction()

# What the test library exports, for specs: internals.i beside it.
function(cql_internals)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.h
                                              ${PROJECT_SOURCE_DIR}/include/*.h)
  set(tool ${PROJECT_SOURCE_DIR}/tools/internals)
  set(declarations ${PROJECT_BINARY_DIR}/internals.i)
  add_custom_command(OUTPUT ${declarations} DEPENDS ${tool} ${headers} VERBATIM
                     COMMAND ${CMAKE_COMMAND} -E env CC=${CMAKE_C_COMPILER} ${tool} ${declarations})
  add_custom_target(internals ALL DEPENDS ${declarations})
endfunction()

# Each fuzz/*.c on the test library, with a main() that runs the files it is given: what any
# compiler makes of the corpus.
function(cql_replays)
  file(GLOB fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/*.c)
  foreach(source IN LISTS fuzzers)
    get_filename_component(name ${source} NAME_WE)
    add_executable(replay_${name} ${source} ${PROJECT_SOURCE_DIR}/fuzz/replay/main.c)
    set_target_properties(replay_${name} PROPERTIES OUTPUT_NAME ${name}
                          RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    target_link_libraries(replay_${name} PRIVATE cql_test)
  endforeach()
endfunction()

# The sources once more, instrumented, and one fuzzer for each fuzz/*.c.
function(cql_fuzzers)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "CQL_BUILD_FUZZ needs clang: cmake --preset fuzz")
  endif()
  set(checks address,undefined)
  add_library(cql_fuzzed STATIC ${ARGN})
  target_compile_definitions(cql_fuzzed PUBLIC CQL_TEST=1)
  target_compile_options(cql_fuzzed PUBLIC -fsanitize=fuzzer-no-link,${checks}
                                           -fno-sanitize-recover=all)
  target_link_libraries(cql_fuzzed PUBLIC cql_options)
  file(GLOB fuzzers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/*.c)
  foreach(source IN LISTS fuzzers)
    get_filename_component(name ${source} NAME_WE)
    add_executable(fuzz_${name} ${source})
    set_target_properties(fuzz_${name} PROPERTIES OUTPUT_NAME ${name}
                          RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    target_link_libraries(fuzz_${name} PRIVATE cql_fuzzed)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,${checks})
  endforeach()
endfunction()
