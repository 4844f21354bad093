/* Log lines as an operator's tools see them: written to a file in place of stderr, read back. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/t.h"

static int saved_stderr = -1;
static char path[300];

static void begin(void)
{
    int n = snprintf(path, sizeof(path), "%s/log", t_tmp_dir());
    t_check(n > 0 && (size_t)n < sizeof(path));
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    t_check(fd >= 0);
    saved_stderr = dup(STDERR_FILENO);
    t_check(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    t_eq_int(close(fd), 0);
}

/* What was logged since begin(), without the time of the first line; to be freed. */
static char *end(void)
{
    t_check(dup2(saved_stderr, STDERR_FILENO) == STDERR_FILENO);
    t_eq_int(close(saved_stderr), 0);
    size_t n = 0;
    char *text = t_read_file(path, &n);
    if (n > 25) {
        t_eq_int(text[23], 'Z'); /* 2026-11-21T07:11:17.123Z */
        memmove(text, text + 25, n - 25 + 1);
    }
    return text;
}

static void eq_line(const char *want)
{
    char *got = end();
    t_eq_cstr(got, want);
    mem_free(got);
}

T_TEST("a line is level, module, event, and the fields as they were given")
{
    begin();
    LOG_INFO("account", "failover_opened", "rule=%d writer=%s took_ms=%lu", 310, "east", 12UL);
    eq_line("info account failover_opened rule=310 writer=east took_ms=12\n");
}

T_TEST("values with blanks, quotes, control characters or nothing in them are quoted")
{
    begin();
    LOG_WARN("m", "e", "a=%s b=%s c=%s d=%.*s e=%5d", "x y", "say \"hi\"\n", "", 3, "k=vzzz", 7);
    eq_line("warn m e a=\"x y\" b=\"say \\\"hi\\\"\\n\" c=\"\" d=\"k=v\" e=\"    7\"\n");
}

T_TEST("a value cannot forge a field, not even with the bytes the logger uses inside")
{
    begin();
    LOG_ERROR("m", "e", "name=%s ok=%d",
              "x\xff rule=\xfe"
              "1",
              1);
    char *got = end();
    t_check(strstr(got, " rule=") == NULL || strstr(got, "\"") < strstr(got, " rule="));
    t_check(strchr(got, '\n') == got + strlen(got) - 1);
    mem_free(got);
}

T_TEST("fields made before are shown as they are, but stay one line")
{
    begin();
    log_write_fields(LOG_LEVEL_INFO, "region", "role",
                     "rule=132 why=\"chosen as \\\"writer\\\"\"\nrule=1");
    eq_line("info region role rule=132 why=\"chosen as \\\"writer\\\"\"\\nrule=1\n");
}

T_TEST("an overlong line is cut, stays one line and says so")
{
    char big[8000];
    memset(big, '\n', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    begin();
    LOG_ERROR("m", "e", "name=%s ok=%d", big, 1);
    char *got = end();
    t_check(strstr(got, "is_cut=1") != NULL);
    t_check(strchr(got, '\n') == got + strlen(got) - 1);
    mem_free(got);
}

T_TEST("levels are filtered, the process name is shown, errno is left alone")
{
    enum log_level level = LOG_LEVEL_ERROR;
    t_eq_int(log_level_parse("debug", &level), 0);
    t_eq_int(level, LOG_LEVEL_DEBUG);
    t_eq_int(log_level_parse("loud", &level), -1);
    begin();
    LOG_DEBUG("m", "hidden", "a=%d", 1);
    log_set_level(LOG_LEVEL_DEBUG);
    log_set_name("server/east");
    errno = EIO;
    LOG_DEBUG("m", "shown", "p=%d%%", 1);
    t_eq_int(errno, EIO);
    log_set_level(LOG_LEVEL_INFO);
    eq_line("debug m shown proc=server/east p=1%\n");
}

T_MAIN()
