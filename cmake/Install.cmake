# What `cmake --install` puts where, and what of it is made at build time: man pages and completions, both printed by the
# programs from their own definitions.
include(GNUInstallDirs)

set(manual_dir "${CMAKE_BINARY_DIR}/man")
add_custom_command(
  OUTPUT "${manual_dir}/man1/tasker.1"
  COMMAND "${CMAKE_COMMAND}" -E rm -rf "${manual_dir}/man1"
  COMMAND tasker --json man --out "${manual_dir}/man1"
  DEPENDS tasker
  COMMENT "Writing the man pages of tasker"
  VERBATIM)
add_custom_command(
  OUTPUT "${manual_dir}/man8/tasker-orchestrator.8"
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${manual_dir}/man8"
  COMMAND tasker-orchestrator --man > "${manual_dir}/man8/tasker-orchestrator.8"
  DEPENDS tasker-orchestrator
  COMMENT "Writing the man page of tasker-orchestrator"
  VERBATIM)
add_custom_target(man ALL DEPENDS "${manual_dir}/man1/tasker.1" "${manual_dir}/man8/tasker-orchestrator.8")

set(completion_dir "${CMAKE_BINARY_DIR}/completions")
foreach(shell bash zsh fish)
  add_custom_command(
    OUTPUT "${completion_dir}/tasker.${shell}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${completion_dir}"
    COMMAND tasker completion ${shell} > "${completion_dir}/tasker.${shell}"
    DEPENDS tasker
    COMMENT "Writing the completions for ${shell}"
    VERBATIM)
endforeach()
add_custom_target(completions ALL DEPENDS "${completion_dir}/tasker.bash" "${completion_dir}/tasker.zsh"
                                          "${completion_dir}/tasker.fish")

install(TARGETS tasker tasker-orchestrator RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY "${manual_dir}/" DESTINATION "${CMAKE_INSTALL_MANDIR}")
install(FILES "${completion_dir}/tasker.bash" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
        RENAME tasker)
install(FILES "${completion_dir}/tasker.zsh" DESTINATION "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" RENAME _tasker)
install(FILES "${completion_dir}/tasker.fish" DESTINATION "${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/config/" DESTINATION "${CMAKE_INSTALL_DATADIR}/tasker/config"
        FILES_MATCHING PATTERN "*.yaml")
install(FILES "${PROJECT_SOURCE_DIR}/protocol/SPEC.md" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/tasker/protocol")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/protocol/schema" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/tasker/protocol"
        FILES_MATCHING PATTERN "*.json")
install(FILES "${PROJECT_SOURCE_DIR}/packaging/README.md" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/tasker"
        RENAME packaging.md)
install(FILES "${PROJECT_SOURCE_DIR}/packaging/sysusers.d/tasker.conf" DESTINATION lib/sysusers.d)
# The unit names the installed program, so it is written for the prefix of the installation, not that of the build.
install(
  CODE "set(unit_source \"${PROJECT_SOURCE_DIR}/packaging/systemd/tasker-orchestrator.service.in\")
        set(unit_made \"${CMAKE_BINARY_DIR}/tasker-orchestrator.service\")")
install(
  CODE [[configure_file("${unit_source}" "${unit_made}" @ONLY)
         file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system" TYPE FILE FILES "${unit_made}")]])
