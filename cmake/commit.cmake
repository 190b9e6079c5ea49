# Writes OUTPUT, a header with the commit of SOURCE. Outside of a git checkout of its own the commit is "unknown".
set(commit unknown)
find_program(git git)
if(git AND EXISTS "${SOURCE}/.git")
  execute_process(
    COMMAND "${git}" -C "${SOURCE}" rev-parse --short=7 HEAD
    OUTPUT_VARIABLE answer
    RESULT_VARIABLE failed
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT failed AND answer MATCHES "^[0-9a-f]+$")
    set(commit "${answer}")
  endif()
endif()
file(WRITE "${OUTPUT}" "#pragma once\n#define TASKER_COMMIT \"${commit}\"\n")
