# tasker_embed_files(LIBRARY FOLDER): compiles every file below FOLDER of the calling folder into the library, as the array
# kFiles of the generated header <calling folder>/<FOLDER>/files.hpp, in a namespace named like the last part of FOLDER.
set(TASKER_EMBED_FILES_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/embed_files_script.cmake")

function(tasker_embed_files library folder)
  file(RELATIVE_PATH place "${PROJECT_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}/${folder}")
  get_filename_component(name "${folder}" NAME)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*")
  set(header "${CMAKE_BINARY_DIR}/generated/${place}/files.hpp")
  # A removed file changes this list, and with it the command, which then runs again.
  string(SHA256 names "${files}")
  add_custom_command(
    OUTPUT "${header}"
    COMMAND "${CMAKE_COMMAND}" "-DFOLDER=${CMAKE_CURRENT_SOURCE_DIR}/${folder}" "-DFOLDER_NAME=${place}"
            "-DOUTPUT=${header}" "-DNAMESPACE=tasker::cli::project_${name}" "-DNAMES=${names}" -P
            "${TASKER_EMBED_FILES_SCRIPT}"
    DEPENDS ${files} "${TASKER_EMBED_FILES_SCRIPT}"
    COMMENT "Embedding ${place}"
    VERBATIM)
  target_sources(${library} PRIVATE "${header}")
endfunction()
