/* Runs a program and says what it took: launch PROGRAM [ARGUMENT...]
 *
 * The last line of its output is "user_us system_us wall_us maxrss_kib status", by the kernel's own account of the
 * child (wait4), so that starting and ending count, too. A launcher and not a shell: the largest memory that is
 * accounted to a child is not less than that of the process that forked it. */
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SECONDS = 60 };

static int64_t now_us(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long long in_us(struct timeval spent)
{
  return (long long)spent.tv_sec * 1000000 + spent.tv_usec;
}

int main(int count, char **words)
{
  struct rusage used;
  int status = 0;
  if (count < 2)
    return 2;
  int64_t began_us = now_us();
  pid_t child = fork();
  if (child == 0) {
    alarm(MOST_SECONDS); /* outlasts exec; what hangs has failed */
    execvp(words[1], words + 1);
    perror(words[1]);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &used) != child) {
    perror("launch");
    return 1;
  }
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  printf("%lld %lld %lld %ld %d\n", in_us(used.ru_utime), in_us(used.ru_stime),
         (long long)(now_us() - began_us), used.ru_maxrss, code);
  return 0;
}
