#include "io/trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SHOWN = 300 };

bool mde_trouble_say(mde_trouble *trouble, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(trouble->text, trouble->size, format, arguments);
  va_end(arguments);
  return false;
}

bool mde_trouble_say_of(mde_trouble *trouble, const char *what, const char *path,
                        const char *format, ...)
{
  mde_trouble_say(trouble, "%s '%.*s%s': ", what, PATH_SHOWN, path,
                  strlen(path) > PATH_SHOWN ? "..." : "");
  size_t used = strlen(trouble->text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(trouble->text + used, trouble->size - used, format, arguments);
  va_end(arguments);
  return false;
}

bool mde_trouble_no_memory(mde_trouble *trouble)
{
  trouble->no_memory = true;
  return mde_trouble_say(trouble, "not enough memory");
}
