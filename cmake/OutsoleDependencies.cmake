# Everything outsole takes from elsewhere. cmake/install-dependencies.sh brings it on Debian and Ubuntu.

find_package(Threads REQUIRED)
if(NOT OUTSOLE_FUZZ)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()

# LibTorch: Debian's libtorch-dev, or a wheel's (-DCMAKE_PREFIX_PATH=$(python3 -c 'import torch;print(torch.utils.cmake_prefix_path)')).
find_package(Torch QUIET)
add_library(outsole_torch INTERFACE)
# LibTorch of a Python wheel exports parts of the standard library that do not work alone (std::filesystem::remove_all jumps to
# nowhere): the system's is linked before it, so that its symbols are found first.
target_link_options(outsole_torch INTERFACE LINKER:--push-state,--no-as-needed -lstdc++ LINKER:--pop-state)
if(Torch_FOUND)
  target_include_directories(outsole_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(outsole_torch INTERFACE ${TORCH_LIBRARIES})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(outsole_torch INTERFACE ${torch_flags})
else()
  # Debian's package installs headers and libraries where the compiler looks, without a usable TorchConfig.
  find_path(TORCH_INCLUDE_DIR ATen/ATen.h REQUIRED)
  find_library(TORCH_LIBRARY torch REQUIRED)
  find_library(TORCH_CPU_LIBRARY torch_cpu REQUIRED)
  find_library(C10_LIBRARY c10 REQUIRED)
  target_include_directories(outsole_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIR}
                             ${TORCH_INCLUDE_DIR}/torch/csrc/api/include)
  target_link_libraries(outsole_torch INTERFACE ${TORCH_LIBRARY} ${TORCH_CPU_LIBRARY} ${C10_LIBRARY})
endif()
target_link_libraries(outsole_torch INTERFACE $<TARGET_NAME_IF_EXISTS:OpenMP::OpenMP_CXX>)
set_target_properties(outsole_torch PROPERTIES EXPORT_NAME torch)
install(TARGETS outsole_torch EXPORT outsole)

if(NOT OUTSOLE_FUZZ)
  file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp "")
  add_library(outsole_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cpp)
  target_link_libraries(outsole_torch_pch PUBLIC outsole_torch PRIVATE outsole_options)
  target_precompile_headers(outsole_torch_pch PRIVATE <ATen/ATen.h>)
endif()

if(NOT OUTSOLE_KERNELS_ONLY)
  find_package(MPI REQUIRED COMPONENTS C)
  find_package(HDF5 REQUIRED COMPONENTS C)
  find_package(OpenCV REQUIRED COMPONENTS core imgproc imgcodecs quality)
  find_package(PNG REQUIRED)
  find_package(JPEG REQUIRED)  # libjpeg-turbo
  find_package(TIFF 4.5 REQUIRED)  # error handlers of each file
  find_package(Boost REQUIRED COMPONENTS program_options)
  find_package(spdlog REQUIRED)
  find_package(nlohmann_json REQUIRED)
  find_package(OpenSSL REQUIRED COMPONENTS Crypto)
  find_path(LIBSVM_INCLUDE_DIR libsvm/svm.h REQUIRED)  # LIBSVM brings no CMake package
  find_library(LIBSVM_LIBRARY svm REQUIRED)
  find_path(MUSTACHE_INCLUDE_DIR kainjow/mustache.hpp REQUIRED)  # a header alone
endif()
if(OUTSOLE_TESTS AND NOT OUTSOLE_FUZZ)
  find_package(GTest REQUIRED)
endif()
