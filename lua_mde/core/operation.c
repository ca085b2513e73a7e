#include "core/operation.h"

#include <string.h>

/* Most operations: "100 calls per minute and 1500 calls per hour". */
#define WINDOWS_100_1500                                                                           \
  {                                                                                                \
    2,                                                                                             \
    {                                                                                              \
      {60000, 100},                                                                                \
      {                                                                                            \
        3600000, 1500                                                                              \
      }                                                                                            \
    }                                                                                              \
  }

#define ALERT_READ "Alert.Read.All (or Alert.ReadWrite.All)"

const mde_operation mde_operations[] = {
    {.name = "alerts",
     .method = "GET",
     .path = "/api/alerts",
     .shape = MDE_SHAPE_COLLECTION,
     .query = MDE_QUERY_FILTER | MDE_QUERY_TOP | MDE_QUERY_SKIP | MDE_QUERY_EXPAND,
     .top_max = 10000,
     .subject = "list of alerts",
     .permission = ALERT_READ,
     .windows = WINDOWS_100_1500},
    {.name = "alert",
     .method = "GET",
     .path = "/api/alerts/{id}",
     .shape = MDE_SHAPE_ENTITY,
     .subject = "alert",
     .permission = ALERT_READ,
     .windows = WINDOWS_100_1500},
    {.name = "alert_ips",
     .method = "GET",
     .path = "/api/alerts/{id}/ips",
     .shape = MDE_SHAPE_COLLECTION,
     .subject = "alert",
     .permission = "Ip.Read.All",
     .windows = WINDOWS_100_1500},
    {.name = "alert_domains",
     .method = "GET",
     .path = "/api/alerts/{id}/domains",
     .shape = MDE_SHAPE_COLLECTION,
     .subject = "alert",
     .permission = "URL.Read.All",
     .windows = WINDOWS_100_1500},
    {.name = "alert_files",
     .method = "GET",
     .path = "/api/alerts/{id}/files",
     .shape = MDE_SHAPE_COLLECTION,
     .subject = "alert",
     .permission = "File.Read.All",
     .windows = WINDOWS_100_1500},
    {.name = "alert_machine",
     .method = "GET",
     .path = "/api/alerts/{id}/machine",
     .shape = MDE_SHAPE_ENTITY,
     .subject = "alert or its machine",
     .permission = "Machine.Read.All (or Machine.ReadWrite.All)",
     .windows = WINDOWS_100_1500},
    {.name = "alert_user",
     .method = "GET",
     .path = "/api/alerts/{id}/user",
     .shape = MDE_SHAPE_ENTITY,
     .subject = "alert or its user",
     .permission = "User.Read.All",
     .windows = WINDOWS_100_1500},
};

const size_t mde_operation_count = sizeof mde_operations / sizeof mde_operations[0];

const mde_operation mde_operation_token = {
    .name = "token", .method = "POST", .path = "", .subject = "token endpoint"};

const mde_operation mde_operation_local_token = {
    .name = "token", .method = "GET", .path = "", .subject = "token endpoint"};

const mde_operation *mde_operation_find(const char *name, size_t length)
{
  for (size_t i = 0; i < mde_operation_count; i++) {
    const mde_operation *row = &mde_operations[i];
    if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
      return row;
  }
  return NULL;
}

size_t mde_operation_arguments(const mde_operation *operation)
{
  size_t count = 0;
  for (const char *at = operation->path; (at = strchr(at, '{')) != NULL; at++)
    count++;
  return count;
}
