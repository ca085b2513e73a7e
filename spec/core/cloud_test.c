#include "core/cloud.h"
#include "core/uri.h"
#include "test.h"

static mde_slice text_of(const char *text)
{
  return (mde_slice){text, strlen(text)};
}

static void each_is_found_by_its_name_and_no_other(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_cloud_count; i++)
    assert_ptr_equal(mde_cloud_find(text_of(mde_clouds[i].name)), &mde_clouds[i]);
  assert_null(mde_cloud_find(text_of("")));
  assert_null(mde_cloud_find(text_of("glob")));
  assert_null(mde_cloud_find(text_of("globally")));
  assert_null(mde_cloud_find(text_of("Global")));
}

static void each_is_found_by_its_host_in_any_case(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_cloud_count; i++) {
    const mde_cloud *found = mde_cloud_of_api(text_of(mde_clouds[i].api));
    assert_true(mde_cloud_akin(found, &mde_clouds[i]));
  }
  assert_non_null(mde_cloud_of_api(text_of("https://API.Security.microsoft.com:443")));
  assert_non_null(mde_cloud_of_api(text_of("https://api.securitycenter.microsoft.com")));
  assert_null(mde_cloud_of_api(text_of("http://api.security.microsoft.com")));
  assert_null(mde_cloud_of_api(text_of("https://api.security.microsoft.com.example")));
  assert_null(mde_cloud_of_api(text_of("https://api.security.microsoft.com:444")));
  assert_null(mde_cloud_of_api(text_of("")));
}

static void all_addresses_are_https_origins(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_cloud_count; i++) {
    const char *urls[] = {mde_clouds[i].api, mde_clouds[i].authority, mde_clouds[i].audience};
    for (size_t k = 0; k < 3; k++) {
      mde_base_url url;
      assert_true(mde_base_url_parse(&url, urls[k], strlen(urls[k])));
      assert_true(url.https);
      assert_int_equal(url.origin.length, strlen(urls[k]));
    }
  }
}

static void each_fits_its_own_login_host(void **state)
{
  (void)state;
  for (size_t i = 0; i < mde_cloud_count; i++) {
    assert_true(mde_cloud_fits(&mde_clouds[i], text_of(mde_clouds[i].authority)));
    assert_true(mde_cloud_fits(&mde_clouds[i], text_of("https://login.example")));
    bool us = strcmp(mde_clouds[i].authority, "https://login.microsoftonline.us") == 0;
    assert_int_equal(mde_cloud_fits(&mde_clouds[i], text_of("https://login.microsoftonline.us")),
                     us);
    assert_int_equal(mde_cloud_fits(&mde_clouds[i], text_of("https://login.windows.net")), !us);
    assert_false(mde_cloud_fits(&mde_clouds[i], text_of("https://login.chinacloudapi.cn")));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_is_found_by_its_name_and_no_other),
      cmocka_unit_test(each_is_found_by_its_host_in_any_case),
      cmocka_unit_test(all_addresses_are_https_origins),
      cmocka_unit_test(each_fits_its_own_login_host),
  };
  return cmocka_run_group_tests_name("cloud", tests, NULL, NULL);
}
