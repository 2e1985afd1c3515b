// The version of these headers, for #if; reprise::version() (reprise.h) is that of the library.
#pragma once

#define REPRISE_VERSION_MAJOR 0
#define REPRISE_VERSION_MINOR 1
#define REPRISE_VERSION_PATCH 0
// 10000 * major + 100 * minor + patch
#define REPRISE_VERSION (10000 * REPRISE_VERSION_MAJOR + 100 * REPRISE_VERSION_MINOR + REPRISE_VERSION_PATCH)
