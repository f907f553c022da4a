# Compile options of outsole's own targets, and the one function that declares a folder of src/ as a library.

include(GNUInstallDirs)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)  # an installed program finds the LibTorch that it was linked with
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(OUTSOLE_CCACHE ccache)
if(OUTSOLE_CCACHE)
  # pch_defines, time_macros and include_file_*time let ccache serve sources that use the precompiled torch header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${OUTSOLE_CCACHE})
endif()

add_library(outsole_options INTERFACE)
target_compile_options(outsole_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                       -Woverloaded-virtual -Wcast-align -Wimplicit-fallthrough)
# Same source, same bits: no reassociation, and a*b+c is fused only where the code says so.
target_compile_options(outsole_options INTERFACE -ffp-contract=off)
if(CMAKE_UNITY_BUILD)
  # To GCC a source that a unit includes is a header, in which a class should not have a field of an unnamed namespace.
  target_compile_options(outsole_options INTERFACE -Wno-subobject-linkage)
endif()
if(OUTSOLE_WERROR)
  target_compile_options(outsole_options INTERFACE -Werror)
endif()

# outsole_library(NAME [TORCH] LINK targets... [KERNELS sources...])
#   Declares outsole::NAME from every .cpp of the calling folder, the headers relative to src/. What a source declares in an
#   unnamed namespace has a name that no other source of the folder gives to something else: unity builds compile them together.
#   TORCH: links LibTorch and uses its precompiled header.
#   KERNELS: with OUTSOLE_KERNELS_ONLY these are its sources, and it links those of its targets that are built then.
function(outsole_library name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK;KERNELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(OUTSOLE_KERNELS_ONLY AND ARG_KERNELS)
    set(sources ${ARG_KERNELS})
    list(FILTER ARG_LINK INCLUDE REGEX "^outsole::(kernel_core|comm|features|match|learn)$")
  endif()
  add_library(outsole_${name} STATIC ${sources})
  add_library(outsole::${name} ALIAS outsole_${name})
  outsole_install_library(${name})
  target_link_libraries(outsole_${name} PUBLIC ${ARG_LINK} PRIVATE $<BUILD_INTERFACE:outsole_options>)
  if(ARG_TORCH)
    outsole_use_torch(outsole_${name})
  endif()
endfunction()

# Where outsole::NAME finds the headers, here and once installed, and that it is installed. A second project links it after
# find_package(outsole).
function(outsole_install_library name)
  target_include_directories(outsole_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/outsole>)
  set_target_properties(outsole_${name} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS outsole_${name} EXPORT outsole ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  if(NOT name STREQUAL core)  # its headers come with kernel_core, of the same folder
    install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/outsole FILES_MATCHING PATTERN *.h)
  endif()
endfunction()

# Links LibTorch to a target and shares the one precompiled header.
function(outsole_use_torch target)
  target_link_libraries(${target} PUBLIC outsole_torch)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL EXECUTABLE)
    # The header is compiled with -fPIC; CMake's -fPIE for executables would not match it.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  target_precompile_headers(${target} REUSE_FROM outsole_torch_pch)
endfunction()
