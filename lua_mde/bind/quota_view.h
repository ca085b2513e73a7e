/* What a quota says of one operation at one moment, whichever kind it is of.
 *
 *   quota_view view;
 *   if (quota_view_operation(quota, operation, &view)) ... view.windows, view.used, view.answer */
#ifndef MDE_BIND_QUOTA_VIEW_H
#define MDE_BIND_QUOTA_VIEW_H

#include "bind/quota.h"

typedef struct quota_view {
  mde_windows windows;
  uint32_t used[MDE_WINDOWS_MAX];
  mde_quota_answer answer;
  int64_t closed_ms; /* by a Retry-After; a window may be full for longer */
} quota_view;

/* False: its file cannot be asked; see mde_quota_file_trouble. The quota is open. */
bool quota_view_operation(const Quota *quota, const mde_operation *operation, quota_view *view);
void quota_view_own(const mde_quota *own, int64_t now_ms, quota_view *view);
void quota_view_cell(const mde_cell *cell, int64_t now_ms, quota_view *view);

int quota_push_seconds(lua_State *L, int64_t milliseconds);
/* A window's length in seconds: whole where it can be. */
void quota_push_length(lua_State *L, const mde_window *window);

/* quota:status(). */
int quota_status_method(lua_State *L);

#endif
