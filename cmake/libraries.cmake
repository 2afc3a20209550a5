# Libraries of Debian, by pkg-config; DuckDB from its npm package (third_party/duckdb).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

function(weir_library target)
	pkg_check_modules(${target} REQUIRED IMPORTED_TARGET GLOBAL ${ARGN})
endfunction()

weir_library(ZLIB zlib)
weir_library(ZSTD libzstd)
weir_library(LZ4 liblz4)
weir_library(BROTLI libbrotlienc libbrotlidec libbrotlicommon)
weir_library(CRYPTO libcrypto)
weir_library(XXHASH libxxhash)
weir_library(JANSSON jansson)
weir_library(FYAML libfyaml)
weir_library(EXPAT expat)
weir_library(SQLITE sqlite3)
weir_library(POSTGRES libpq)
weir_library(MICROHTTPD libmicrohttpd)
weir_library(CURL libcurl)
weir_library(CMOCKA cmocka)
find_library(SNAPPY_LIBRARY snappy REQUIRED)

set(duckdb_root ${PROJECT_SOURCE_DIR}/third_party/duckdb/node_modules)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
	set(duckdb_package ${duckdb_root}/@duckdb/node-bindings-linux-arm64)
else()
	set(duckdb_package ${duckdb_root}/@duckdb/node-bindings-linux-x64)
endif()
add_library(duckdb SHARED IMPORTED GLOBAL)
set_target_properties(duckdb PROPERTIES
	IMPORTED_LOCATION ${duckdb_package}/libduckdb.so
	IMPORTED_NO_SONAME ON
	INTERFACE_INCLUDE_DIRECTORIES ${duckdb_root}/duckdb/src/duckdb/src/include)
