#include "bind/quota_view.h"

void quota_view_cell(const mde_cell *cell, int64_t now_ms, quota_view *view)
{
  view->windows = mde_cell_windows(cell);
  view->answer = mde_cell_ask(cell, now_ms);
  view->closed_ms = mde_cell_closed_ms(cell, now_ms);
  for (uint32_t i = 0; i < view->windows.count; i++)
    view->used[i] = mde_cell_used(cell, &view->windows.window[i], now_ms);
}

void quota_view_own(const mde_quota *own, int64_t now_ms, quota_view *view)
{
  view->windows = own->windows;
  view->answer = mde_quota_ask(own, now_ms);
  view->closed_ms = own->closed_until_ms > now_ms ? own->closed_until_ms - now_ms : 0;
  for (uint32_t i = 0; i < view->windows.count; i++)
    view->used[i] = mde_quota_used(own, &view->windows.window[i], now_ms);
}

bool quota_view_operation(const Quota *quota, const mde_operation *operation, quota_view *view)
{
  int64_t now_ms = mde_clock_now_ms(quota->clock);
  if (quota->file == NULL) {
    quota_view_own(&quota->own[operation - mde_operations], now_ms, view);
    return true;
  }
  const mde_cell *cell = mde_quota_file_cell(quota->file, operation, &now_ms);
  if (cell != NULL)
    quota_view_cell(cell, now_ms, view);
  return cell != NULL;
}

int quota_push_seconds(lua_State *L, int64_t milliseconds)
{
  lua_pushnumber(L, (lua_Number)milliseconds / 1000);
  return 1;
}

void quota_push_length(lua_State *L, const mde_window *window)
{
  if (window->length_ms % 1000 == 0)
    lua_pushinteger(L, (lua_Integer)(window->length_ms / 1000));
  else
    quota_push_seconds(L, window->length_ms);
}
