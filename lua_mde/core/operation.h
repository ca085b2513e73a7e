/* The operations of the API: one row each. Adding an operation is adding a row to operation.c;
 * the client's method, its arguments, its limits and its messages all come from the row.
 *
 *   const mde_operation *operation = mde_operation_find("alert_ips", 9);
 *   mde_operation_arguments(operation)       1: the number of {placeholders} in the path
 *
 * Facts: Microsoft's API documentation, one page for each operation. */
#ifndef MDE_CORE_OPERATION_H
#define MDE_CORE_OPERATION_H

#include "core/window.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum mde_shape {
  MDE_SHAPE_ENTITY,    /* one object */
  MDE_SHAPE_COLLECTION /* an object whose `value` is an array; may go on at @odata.nextLink */
} mde_shape;

/* The OData options that an operation takes. */
enum { MDE_QUERY_FILTER = 1, MDE_QUERY_TOP = 2, MDE_QUERY_SKIP = 4, MDE_QUERY_EXPAND = 8 };

enum { MDE_ARGUMENTS_MAX = 4 }; /* placeholders in one path */

typedef struct mde_operation {
  const char *name;       /* the client's method */
  const char *method;     /* of HTTP */
  bool changes;           /* something in the service: a sent request is then never repeated */
  const char *path;       /* with {placeholders}, each one path segment */
  mde_shape shape;        /* of the answer */
  unsigned query;         /* MDE_QUERY_... */
  uint32_t top_max;       /* the largest $top; 0 without MDE_QUERY_TOP */
  const char *subject;    /* what a 404 says is missing */
  const char *permission; /* for a 403's message */
  mde_windows windows;    /* as documented */
} mde_operation;

extern const mde_operation mde_operations[];
extern const size_t mde_operation_count;

/* The fetch of a token, from Microsoft's login or from a local service; neither has a method. */
extern const mde_operation mde_operation_token;
extern const mde_operation mde_operation_local_token;

/* Borrows a row that lives for ever; NULL if there is none of that name. */
const mde_operation *mde_operation_find(const char *name, size_t length);

size_t mde_operation_arguments(const mde_operation *operation);

#endif
