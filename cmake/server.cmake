# The server (src/server) and the client of servers (src/client) are made with Asio and Beast of Boost, headers alone, and
# the server's file of flags is read by yaml-cpp. Without them all else is built, and the commands say what is missing.
set(REPRISE_SERVER AUTO CACHE STRING "Build the server, by Boost 1.81 or newer and yaml-cpp: AUTO (where they are found), ON or OFF")
set_property(CACHE REPRISE_SERVER PROPERTY STRINGS AUTO ON OFF)
set(REPRISE_HAVE_SERVER OFF)
if(NOT REPRISE_SERVER STREQUAL "OFF")
  find_path(REPRISE_BOOST_INCLUDE boost/beast/version.hpp)
  set(boost_version 0)
  if(REPRISE_BOOST_INCLUDE)
    file(STRINGS ${REPRISE_BOOST_INCLUDE}/boost/version.hpp line REGEX "^#define BOOST_VERSION ")
    string(REGEX REPLACE "[^0-9]" "" boost_version "${line}")
  endif()
  find_package(yaml-cpp QUIET)
  if(boost_version GREATER_EQUAL 108100 AND yaml-cpp_FOUND)
    set(REPRISE_HAVE_SERVER ON)
    set(REPRISE_YAML $<IF:$<TARGET_EXISTS:yaml-cpp::yaml-cpp>,yaml-cpp::yaml-cpp,yaml-cpp>)  # since 0.8, and before
    message(STATUS "server: by Boost ${boost_version}")
  elseif(REPRISE_SERVER STREQUAL "ON")
    message(FATAL_ERROR "REPRISE_SERVER=ON, but Boost 1.81 or yaml-cpp was not found: apt-get install libyaml-cpp-dev and "
                        "libboost1.81-dev (Debian 12) or libboost1.83-dev, or -DREPRISE_SERVER=OFF")
  else()
    message(STATUS "server: not built, Boost 1.81 (libboost1.81-dev or libboost1.83-dev) or yaml-cpp (libyaml-cpp-dev) was not found")
  endif()
endif()
