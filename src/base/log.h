/* Log for operators: one line per event, `time level module event key=value ...`, to stderr.
 * The same event keeps its name. Never document bodies, keys or tokens. Thread-safe; one
 * write(2) per line. Values with blanks or quotes are quoted and escaped.
 *
 *   LOG_INFO("account", "failover_opened", "rule=%d writer=%s took_ms=%lu", 310, name, ms);
 */
#pragma once

enum log_level {
    LOG_LEVEL_ERROR, /* a person should look */
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO, /* what an operator wants at three in the morning */
    LOG_LEVEL_DEBUG,
};

void log_set_level(enum log_level level);
int log_level_parse(const char *text, enum log_level *ret); /* 0 or -1 */
void log_set_name(const char *process);                     /* e.g. "server/east"; copied */
void log_write(enum log_level level, const char *module, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with fields that were made before: `key=value key="two words"`. Control characters in them
 * are escaped, nothing else is touched. Call it under LOG_IS_ON. */
void log_write_fields(enum log_level level, const char *module, const char *event,
                      const char *fields);
extern enum log_level log_level_now;
#define LOG_IS_ON(level) ((int)(level) <= (int)__atomic_load_n(&log_level_now, __ATOMIC_RELAXED))

#define LOG_AT(level, ...)                                                                         \
    do {                                                                                           \
        if (LOG_IS_ON(level)) {                                                                    \
            log_write((level), __VA_ARGS__);                                                       \
        }                                                                                          \
    } while (0)
#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...)  LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...)  LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
