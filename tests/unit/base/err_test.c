/* Errors: the table is complete, the first detail wins. Contracts: a broken one aborts. */
#include "base/err.h"

#include <errno.h>
#include <string.h>

#include "base/contract.h"
#include "lib/t.h"

T_TEST("every error has a name, a text, a sensible status and a nonzero exit code")
{
    for (int e = OK + 1; e < ERR_COUNT; e++) {
        t_checkf(strncmp(err_name((enum err)e), "ERR_", 4) == 0, "error %d", e);
        t_checkf(err_text((enum err)e)[0] != '\0', "error %d", e);
        t_checkf(err_http_status((enum err)e) >= 400, "error %d", e);
        t_checkf(err_http_status((enum err)e) <= 599, "error %d", e);
        t_checkf(err_exit_code((enum err)e) > 0 && err_exit_code((enum err)e) < 126, "error %d", e);
    }
    t_eq_cstr(err_name(OK), "OK");
    t_eq_int(err_exit_code(OK), 0);
    t_eq_int(err_substatus(ERR_NOT_WRITER), 3);
    t_check(err_is_retryable(ERR_BUSY));
    t_check(!err_is_retryable(ERR_UNKNOWN_OUTCOME));
}

T_TEST("the first failure's detail is kept, later ones only pass their code on")
{
    struct errinfo ei = {0};
    t_err(err_set(&ei, ERR_IO, "disk %d", 3), ERR_IO);
    err_hint(&ei, "replace disk %d", 3);
    t_err(err_set(&ei, ERR_BUSY, "later"), ERR_BUSY);
    err_hint(&ei, "later");
    t_eq_int(ei.code, ERR_IO);
    t_eq_cstr(ei.message, "disk 3");
    t_eq_cstr(ei.hint, "replace disk 3");
    t_check(ei.line > 0);
    t_contains(str_of(ei.file), "err_test.c");
}

T_TEST("a hint that lists names has as many as there is room for, and says when there are more")
{
    struct errinfo ei = {0};
    (void)err_set(&ei, ERR_NOT_FOUND, "no x");
    err_hint_name(&ei, "there are:", STR("a"));
    err_hint_name(&ei, "there are:", STR("b"));
    t_eq_cstr(ei.hint, "there are: a, b");
    for (int i = 0; i < 100; i++) {
        err_hint_name(&ei, "there are:", STR("0123456789"));
    }
    size_t n = strlen(ei.hint);
    t_check(n > sizeof(ei.hint) - 20 && n < sizeof(ei.hint));
    t_eq_cstr(ei.hint + n - 15, "0123456789, ...");
    err_hint_name(NULL, "there are:", STR("a"));
    struct errinfo other = {0};
    (void)err_set(&other, ERR_NOT_FOUND, "no x");
    err_hint(&other, "do this");
    err_hint_name(&other, "there are:", STR("a")); /* the first hint stays */
    t_eq_cstr(other.hint, "do this");
}

T_TEST("what is passed on keeps its message, hint and place, and is no news after another failure")
{
    struct errinfo from = {0};
    struct errinfo ei = {0};
    (void)err_set(&from, ERR_IO, "disk 3");
    err_hint(&from, "replace it");
    t_err(err_pass(&ei, ERR_CORRUPT, &from), ERR_CORRUPT);
    t_eq_int(ei.code, ERR_CORRUPT);
    t_eq_cstr(ei.message, "disk 3");
    t_eq_cstr(ei.hint, "replace it");
    t_eq_int(ei.line, from.line);
    t_err(err_pass(&ei, ERR_BUSY, &(struct errinfo){.code = ERR_BUSY}), ERR_BUSY);
    t_eq_cstr(ei.message, "disk 3");
    t_err(err_pass(NULL, ERR_IO, &from), ERR_IO);
}

T_TEST("no errinfo is fine, a long message is cut inside its field")
{
    t_err(err_set(NULL, ERR_IO, "x"), ERR_IO);
    err_hint(NULL, "x");
    struct errinfo ei = {0};
    char text[2000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    t_err(err_set(&ei, ERR_IO, "%s", text), ERR_IO);
    t_eq_u64(strlen(ei.message), ERRINFO_MESSAGE_SIZE - 1);
}

T_TEST("system errors have a text, unknown ones too")
{
    t_eq_cstr(err_errno_text(ENOENT), "No such file or directory");
    t_eq_cstr(err_errno_text(-5), "unknown error");
}

static enum err fail_if(bool is_failing)
{
    return is_failing ? ERR_BUSY : OK;
}

static enum err flow(bool first, bool second, bool cleanup, int *ret_steps)
{
    enum err ret = OK;
    *ret_steps = 0;
    TRY(fail_if(first));
    *ret_steps = 1;
    TRY_GOTO(second ? ERR_IO : OK, out);
    *ret_steps = 2;
out:
    KEEP_FIRST(ret, cleanup ? ERR_CLOSED : OK);
    return ret;
}

T_TEST("flow macros return, jump and keep the first error")
{
    int steps;
    t_ok(flow(false, false, false, &steps));
    t_eq_int(steps, 2);
    t_err(flow(true, true, true, &steps), ERR_BUSY);
    t_eq_int(steps, 0);
    t_err(flow(false, true, true, &steps), ERR_IO);
    t_eq_int(steps, 1);
    t_err(flow(false, false, true, &steps), ERR_CLOSED);
}

static void break_contract(void *arg)
{
    for (unsigned i = 0; i < 100; i++) {
        contract_trace("step", i, 0);
    }
    ASSERT(arg != NULL);
}

T_TEST("a broken contract aborts, a kept one does not")
{
    int x = 0;
    t_check(t_aborts(break_contract, NULL));
    t_check(!t_aborts(break_contract, &x));
    volatile bool yes = true; /* not seen through by compilers and checkers */
    t_check(IMPLIES(!yes, !yes));
    t_check(IMPLIES(!yes, yes));
    t_check(IMPLIES(yes, yes));
    t_check(!IMPLIES(yes, !yes));
}

T_MAIN()
