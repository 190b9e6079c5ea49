# Writes OUTPUT, a C++ file that holds every NNN_verb_noun.{up,down}.sql of FOLDER and every *.sql below
# FOLDER/functions as a string constant.
file(GLOB ups "${FOLDER}/*.up.sql")
file(GLOB downs "${FOLDER}/*.down.sql")
list(SORT ups)
foreach(down IN LISTS downs)
  string(REGEX REPLACE "\\.down\\.sql$" ".up.sql" up "${down}")
  if(NOT EXISTS "${up}")
    message(FATAL_ERROR "${down} has no .up.sql beside it")
  endif()
endforeach()

set(temporary "${OUTPUT}.new")
file(WRITE "${temporary}" "// Made from migrations/*.sql by embed_migrations.cmake; do not edit.
#include \"orchestrator/postgres/migrator.hpp\"

namespace tasker::postgres {

std::vector<Migration> read_embedded_migrations() {
    return {
")
set(expected 1)
foreach(up IN LISTS ups)
  get_filename_component(file "${up}" NAME)
  if(NOT file MATCHES "^([0-9][0-9][0-9])_([a-z0-9_]+)\\.up\\.sql$")
    message(FATAL_ERROR "${up} is not named NNN_verb_noun.up.sql")
  endif()
  set(number "${CMAKE_MATCH_1}")
  set(name "${CMAKE_MATCH_2}")
  string(REGEX MATCH "[1-9][0-9]*$" version "${number}")
  if(NOT version EQUAL expected)
    message(FATAL_ERROR "${up}: expected migration ${expected} next; numbers go up by one")
  endif()
  math(EXPR expected "${expected} + 1")
  string(REGEX REPLACE "\\.up\\.sql$" ".down.sql" down "${up}")
  if(NOT EXISTS "${down}")
    message(FATAL_ERROR "${up} has no .down.sql beside it")
  endif()
  file(READ "${up}" up_text)
  file(READ "${down}" down_text)
  file(APPEND "${temporary}" "        {${version}, \"${name}\", R\"tasker_sql(")
  file(APPEND "${temporary}" "${up_text}")
  file(APPEND "${temporary}" ")tasker_sql\", R\"tasker_sql(")
  file(APPEND "${temporary}" "${down_text}")
  file(APPEND "${temporary}" ")tasker_sql\"},\n")
endforeach()
file(APPEND "${temporary}" "    };
}

Layer read_embedded_layer() {
    return {{
")
file(GLOB_RECURSE layer_files RELATIVE "${FOLDER}/functions" "${FOLDER}/functions/*.sql")
list(SORT layer_files)
foreach(layer_file IN LISTS layer_files)
  file(READ "${FOLDER}/functions/${layer_file}" layer_text)
  file(APPEND "${temporary}" "        {\"${layer_file}\", R\"tasker_sql(")
  file(APPEND "${temporary}" "${layer_text}")
  file(APPEND "${temporary}" ")tasker_sql\"},\n")
endforeach()
file(APPEND "${temporary}" "    }, \"${VERSION}\"};
}

}  // namespace tasker::postgres
")
file(RENAME "${temporary}" "${OUTPUT}")
