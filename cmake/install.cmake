# SPDX-License-Identifier: MIT
#
# find_package(ward) gives ward::ward, and ward::net where nng and msgpack-c are found;
# pkg-config knows `ward` and `ward-net`. Two export sets, so that ward::ward needs neither.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ward)

install(DIRECTORY include/ward DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(TARGETS ward EXPORT wardTargets)
install(EXPORT wardTargets NAMESPACE ward:: DESTINATION ${cmake_dir})
if(TARGET ward_net)
  install(TARGETS ward_net EXPORT wardNetTargets)
  install(EXPORT wardNetTargets NAMESPACE ward:: DESTINATION ${cmake_dir})
endif()
if(TARGET ward_cli)
  install(TARGETS ward_cli)
endif()

configure_package_config_file(cmake/wardConfig.cmake.in wardConfig.cmake
  INSTALL_DESTINATION ${cmake_dir})
write_basic_package_version_file(wardConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/wardConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/wardConfigVersion.cmake cmake/wardWire.cmake
  DESTINATION ${cmake_dir})

# The .pc files find their prefix from where they lie, however deep the library folder is. A static
# library cannot name what it needs, so there the private libraries are said to everybody.
file(RELATIVE_PATH pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
set(pc_wire "-lnng -lmsgpackc")
if(WARD_MSGPACK MATCHES "msgpack-c")
  set(pc_wire "-lnng -lmsgpack-c")
endif()
if(BUILD_SHARED_LIBS)
  set(pc_libs "")
  set(pc_libs_private " ${pc_wire}")
else()
  set(pc_libs " ${pc_wire}")
  set(pc_libs_private "")
endif()
configure_file(cmake/ward.pc.in ward.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ward.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET ward_net)
  configure_file(cmake/ward-net.pc.in ward-net.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ward-net.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
