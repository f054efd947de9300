/* How many exact lookups, and pages of 50 in the order of a date, SQLite alone answers in C on 20,000 studies. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STUDIES = 20000, PATIENTS = 14000, LOOKUPS = 200000, PAGES = 10000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long drain(sqlite3_stmt *statement) {
  long bytes = 0;
  while (sqlite3_step(statement) == SQLITE_ROW)
    for (int column = sqlite3_column_count(statement) - 1; column >= 0; column--)
      bytes += sqlite3_column_bytes(statement, column);
  sqlite3_reset(statement);
  return bytes;
}

static void run(sqlite3 *database, const char *sql) {
  char *error = NULL;
  if (sqlite3_exec(database, sql, NULL, NULL, &error) != SQLITE_OK) {
    fprintf(stderr, "sqlite: %s\n", error);
    exit(1);
  }
}

static sqlite3_stmt *prepare(sqlite3 *database, const char *sql) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK) exit(1);
  return statement;
}

static void fill(sqlite3 *database) {
  run(database, "create table study(id integer primary key, uid text unique, pid text, name text, date text, acc text,"
                " description text, modalities text, series int, instances int); begin");
  sqlite3_stmt *insert = prepare(database, "insert into study values(?1, '1.2.826.0.1.3680043.10.9999.' || (?1 * 7919 + 1000000),"
                                           " ?2, ?3, ?4, 'A' || ?1, 'CT THORAX/ABDOMEN', 'CT', 1, 5)");
  char text[64];
  for (int i = 0; i < STUDIES; i++) {
    sqlite3_bind_int(insert, 1, i + 1);
    snprintf(text, sizeof text, "P%07d", i % PATIENTS);
    sqlite3_bind_text(insert, 2, text, -1, SQLITE_TRANSIENT);
    snprintf(text, sizeof text, "NAME%d^GIVEN", rand() % 5000);
    sqlite3_bind_text(insert, 3, text, -1, SQLITE_TRANSIENT);
    snprintf(text, sizeof text, "20%02d%02d%02d", 10 + rand() % 12, 1 + rand() % 12, 1 + rand() % 28);
    sqlite3_bind_text(insert, 4, text, -1, SQLITE_TRANSIENT);
    sqlite3_step(insert);
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  run(database, "commit; create index by_pid on study(pid); create index by_date on study(date)");
}

int main(int count, char **arguments) {
  sqlite3 *database = NULL;
  if (count != 2 || sqlite3_open(arguments[1], &database) != SQLITE_OK) return 1;
  fill(database);
  long read = 0;
  char from[32], to[32];
  sqlite3_stmt *lookup = prepare(database, "select * from study where pid = ?");
  double start = now();
  for (int i = 0; i < LOOKUPS; i++) {
    snprintf(from, sizeof from, "P%07d", rand() % PATIENTS);
    sqlite3_bind_text(lookup, 1, from, -1, SQLITE_STATIC);
    read += drain(lookup);
  }
  double lookups = LOOKUPS / (now() - start);
  sqlite3_finalize(lookup);
  sqlite3_stmt *page = prepare(database, "select * from study where date between ? and ? order by date, id limit 50");
  start = now();
  for (int i = 0; i < PAGES; i++) {
    snprintf(from, sizeof from, "20%02d0101", 10 + i % 12);
    snprintf(to, sizeof to, "20%02d0331", 10 + i % 12);
    sqlite3_bind_text(page, 1, from, -1, SQLITE_STATIC);
    sqlite3_bind_text(page, 2, to, -1, SQLITE_STATIC);
    read += drain(page);
  }
  double pages = PAGES / (now() - start);
  sqlite3_finalize(page);
  sqlite3_close(database);
  printf("%.1f %.1f\n", lookups, pages);
  return read == 0;
}
