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
if(OUTSOLE_WERROR)
  target_compile_options(outsole_options INTERFACE -Werror)
endif()

# outsole_alone_where_names_repeat(SOURCES...)
#   For unity builds (preset program): compiles a source by itself when a name that it declares, at the start of a line, stands in
#   an earlier one too, since names in unnamed namespaces of one unit would clash. Too many names found cost only time.
function(outsole_alone_where_names_repeat)
  set(seen)
  foreach(source IN LISTS ARGN)
    file(STRINGS ${source} lines REGEX "^([A-Za-z]|..noreturn)")
    set(names)
    foreach(line IN LISTS lines)
      if(line MATCHES "^(struct|class|enum class|enum|using) +([A-Za-z0-9_]+)")
        list(APPEND names ${CMAKE_MATCH_2})
      elseif(line MATCHES "^[^(=]* [*&]*([A-Za-z0-9_:~]+)[(]")
        list(APPEND names ${CMAKE_MATCH_1})
      endif()
      string(REGEX MATCHALL "k[A-Z][A-Za-z0-9]*" constants "${line}")
      list(APPEND names ${constants})
    endforeach()
    list(REMOVE_DUPLICATES names)
    set(repeated FALSE)
    foreach(name IN LISTS names)
      if(name IN_LIST seen)
        set(repeated TRUE)
      endif()
    endforeach()
    if(repeated)
      set_source_files_properties(${source} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    else()
      list(APPEND seen ${names})
    endif()
  endforeach()
endfunction()

# outsole_library(NAME [TORCH] LINK targets...)
#   Declares outsole::NAME from every .cpp of the calling folder, the headers relative to src/.
#   TORCH: links LibTorch and uses its precompiled header.
function(outsole_library name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(outsole_${name} STATIC ${sources})
  add_library(outsole::${name} ALIAS outsole_${name})
  outsole_install_library(${name})
  if(CMAKE_UNITY_BUILD)
    outsole_alone_where_names_repeat(${sources})
  endif()
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
