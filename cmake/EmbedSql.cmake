# tasker_embed_sql(LIBRARY): compiles the files of the calling folder's sql/ into the library. sql/next_due.sql becomes
# the constant sql::next_due of the generated header <folder>/sql.hpp, sql/checks/task_whole.sql becomes
# sql::checks::task_whole. An edited, new or removed file builds anew what includes that header.
set(TASKER_EMBED_SQL_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/embed_sql_script.cmake")
set(TASKER_GENERATED_DIR "${CMAKE_BINARY_DIR}/generated")

function(tasker_embed_sql library)
  file(RELATIVE_PATH folder "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  get_filename_component(module "${folder}" NAME)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/sql/*.sql")
  set(header "${TASKER_GENERATED_DIR}/${folder}/sql.hpp")
  # A removed file changes this list, and with it the command, which then runs again.
  string(SHA256 names "${files}")
  add_custom_command(
    OUTPUT "${header}"
    COMMAND "${CMAKE_COMMAND}" "-DFOLDER=${CMAKE_CURRENT_SOURCE_DIR}/sql" "-DOUTPUT=${header}"
            "-DNAMESPACE=tasker::${module}::sql" "-DNAMES=${names}" -P "${TASKER_EMBED_SQL_SCRIPT}"
    DEPENDS ${files} "${TASKER_EMBED_SQL_SCRIPT}"
    COMMENT "Embedding ${folder}/sql"
    VERBATIM)
  target_sources(${library} PRIVATE "${header}")
  target_include_directories(${library} PUBLIC "${TASKER_GENERATED_DIR}")
endfunction()
