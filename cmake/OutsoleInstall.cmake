# What `cmake --install` copies besides the libraries and headers of src/ (outsole_install_library): the package that a second
# project finds, the batch scripts and the schemas.
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/outsole)
install(EXPORT outsole NAMESPACE outsole:: FILE outsoleTargets.cmake DESTINATION ${package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/outsoleConfig.cmake.in ${PROJECT_BINARY_DIR}/outsoleConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/outsoleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/outsoleConfig.cmake ${PROJECT_BINARY_DIR}/outsoleConfigVersion.cmake DESTINATION ${package})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/data_schemas DESTINATION ${CMAKE_INSTALL_DATADIR}/outsole)
if(NOT OUTSOLE_KERNELS_ONLY)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/outsole USE_SOURCE_PERMISSIONS)
  install(TARGETS outsole DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
