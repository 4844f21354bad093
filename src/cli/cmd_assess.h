/* Shared by the operations of `holdfast assess`. Every failure of it is exit status 2. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { ASSESS_OUTPUT_SIZE_MAX = 512 << 20 };

/* Prints the error; returns 2. */
int assess_fail(const struct errinfo *ei);
/* To the file, whole or not at all; to standard output when path is "". */
enum err assess_write(const char *path, struct str text, struct errinfo *ei) MUST_CHECK;
/* Value of --at; now when empty. */
enum err assess_time(struct str text, int64_t *ret_ms, struct errinfo *ei) MUST_CHECK;
/* The one positional argument, estate.yaml without any. */
enum err assess_path(int argc, char **argv, const char **ret, struct errinfo *ei) MUST_CHECK;
/* The folder of a path, "." without one: relative drill reports start there. */
void assess_folder(const char *path, char *ret, size_t size);

/* Operations with a file of their own. argv[0] is the operation. */
int cmd_assess_plan(int argc, char **argv);
int cmd_assess_import(int argc, char **argv);
