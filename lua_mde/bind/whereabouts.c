#include "bind/whereabouts.h"

#include "core/cloud.h"
#include "core/uri.h"

#include <string.h>

enum { URL_TEXT_MAX = 2048 };

static const char DEFAULT_SCOPE[] = "/.default";
enum { DEFAULT_SCOPE_LENGTH = sizeof DEFAULT_SCOPE - 1 };

static mde_slice slice_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

/* --- each by itself --- */

static const mde_cloud *check_cloud(lua_State *L, int argument, mde_slice name)
{
  if (name.data == NULL)
    return NULL;
  const mde_cloud *cloud = mde_cloud_find(name);
  if (cloud != NULL)
    return cloud;
  luaL_Buffer names;
  luaL_buffinit(L, &names);
  for (size_t i = 0; i < mde_cloud_count; i++) {
    luaL_addstring(&names, " ");
    luaL_addstring(&names, mde_clouds[i].name);
  }
  luaL_pushresult(&names);
  luaL_argerror(L, argument,
                lua_pushfstring(L, "option 'cloud': one of%s expected", lua_tostring(L, -1)));
  return NULL;
}

static mde_base_url check_url(lua_State *L, int argument, const char *label, mde_slice text,
                              const char *secret)
{
  mde_base_url url;
  if (text.length > URL_TEXT_MAX || !mde_base_url_parse(&url, text.data, text.length))
    luaL_argerror(L, argument,
                  lua_pushfstring(L, "%s: https://HOST[:PORT][/PREFIX] expected", label));
  if (!url.https && !url.loopback)
    luaL_argerror(L, argument,
                  lua_pushfstring(L,
                                  "%s: plain http would show the %s to the network;"
                                  " use https (http is for loopback addresses)",
                                  label, secret));
  return url;
}

/* The audience of a scope; an app asks for all that it was granted, and so ends it "/.default". */
static mde_slice check_scope(lua_State *L, int argument, mde_slice scope)
{
  size_t length = scope.length > DEFAULT_SCOPE_LENGTH ? scope.length - DEFAULT_SCOPE_LENGTH : 0;
  if (length == 0 || memcmp(scope.data + length, DEFAULT_SCOPE, DEFAULT_SCOPE_LENGTH) != 0)
    luaL_argerror(L, argument, "option 'scope': RESOURCE/.default expected");
  return (mde_slice){scope.data, length};
}

/* --- together --- */

static void check_pair(lua_State *L, int argument, const mde_cloud *named, const mde_cloud *served,
                       mde_slice base_url)
{
  if (named == NULL || served == NULL || mde_cloud_akin(named, served))
    return;
  lua_pushlstring(L, base_url.data, base_url.length);
  luaL_argerror(L, argument,
                lua_pushfstring(L,
                                "option 'base_url': %s belongs to the cloud '%s', not to '%s';"
                                " give one of the two",
                                lua_tostring(L, -1), served->name, named->name));
}

static void check_login(lua_State *L, int argument, const mde_cloud *cloud, const char *label,
                        mde_slice authority)
{
  if (mde_cloud_fits(cloud, authority))
    return;
  lua_pushlstring(L, authority.data, authority.length);
  luaL_argerror(L, argument,
                lua_pushfstring(L,
                                "%s: %s gives no tokens for the cloud '%s' (%s);"
                                " its login host is %s",
                                label, lua_tostring(L, -1), cloud->name, cloud->api,
                                cloud->authority));
}

static void check_audience(lua_State *L, int argument, const mde_cloud *cloud, mde_slice audience)
{
  const mde_cloud *other = mde_cloud_of_api(audience);
  if (other == NULL || mde_cloud_akin(cloud, other))
    return;
  luaL_argerror(L, argument,
                lua_pushfstring(L,
                                "option 'scope': tokens for the cloud '%s' are of no use to '%s';"
                                " its scope is %s%s",
                                other->name, cloud->name, cloud->audience, DEFAULT_SCOPE));
}

/* `cloud`: NULL if the API's host is nobody's, and may have any login. */
static mde_slice find_login(lua_State *L, int argument, mde_slice given, const char *environment,
                            const mde_cloud *cloud)
{
  const char *label = given.data != NULL ? "option 'authority'" : "AZURE_AUTHORITY_HOST";
  mde_slice text = given.data != NULL || environment == NULL ? given : slice_of(environment);
  if (text.data == NULL)
    return slice_of((cloud != NULL ? cloud : mde_clouds)->authority);
  mde_base_url url = check_url(L, argument, label, text, "credential");
  if (cloud != NULL)
    check_login(L, argument, cloud, label, url.origin);
  return (mde_slice){text.data, url.origin.length + url.prefix.length};
}

static const mde_cloud *find_cloud(lua_State *L, int argument, const whereabouts_options *given)
{
  const mde_cloud *named = check_cloud(L, argument, given->cloud);
  if (given->base_url.data == NULL)
    return named != NULL ? named : mde_clouds;
  mde_base_url url = check_url(L, argument, "option 'base_url'", given->base_url, "token");
  const mde_cloud *served = mde_cloud_of_api(url.origin);
  check_pair(L, argument, named, served, given->base_url);
  return named != NULL ? named : served;
}

void whereabouts_find(lua_State *L, int argument, const whereabouts_options *given,
                      const char *environment, whereabouts *found)
{
  const mde_cloud *known = find_cloud(L, argument, given);
  const mde_cloud *cloud = known != NULL ? known : mde_clouds;
  found->base_url = given->base_url.data != NULL ? given->base_url : slice_of(cloud->api);
  found->authority = find_login(L, argument, given->authority, environment, known);
  found->audience = slice_of(cloud->audience);
  if (given->scope.data == NULL)
    return;
  found->audience = check_scope(L, argument, given->scope);
  if (known != NULL)
    check_audience(L, argument, known, found->audience);
}
