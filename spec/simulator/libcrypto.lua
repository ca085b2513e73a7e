-- Certificates and signatures, by the libcrypto that nginx has loaded for its TLS.

local ffi = require "ffi"

ffi.cdef [[
typedef struct simulator_bio simulator_bio;
typedef struct simulator_x509 simulator_x509;
typedef struct simulator_key simulator_key;
typedef struct simulator_digest simulator_digest;
typedef struct simulator_context simulator_context;
typedef struct simulator_key_context simulator_key_context;
simulator_bio *BIO_new_mem_buf(const char *bytes, int length);
int BIO_free(simulator_bio *bio);
simulator_x509 *PEM_read_bio_X509(simulator_bio *bio, void *old, void *password, void *argument);
void X509_free(simulator_x509 *certificate);
simulator_key *X509_get_pubkey(simulator_x509 *certificate);
int X509_digest(simulator_x509 *certificate, const simulator_digest *kind, unsigned char *bytes, unsigned int *length);
void EVP_PKEY_free(simulator_key *key);
const simulator_digest *EVP_sha1(void);
const simulator_digest *EVP_sha256(void);
simulator_context *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(simulator_context *context);
int EVP_DigestVerifyInit(simulator_context *context, simulator_key_context **key_context,
  const simulator_digest *kind, void *engine, simulator_key *key);
int EVP_DigestVerify(simulator_context *context, const char *signature, size_t length, const char *text, size_t size);
int EVP_PKEY_CTX_ctrl_str(simulator_key_context *context, const char *name, const char *value);
void ERR_clear_error(void);
]]

local C = ffi.C

local libcrypto = {}

local function read_certificate(pem)
  local bio = C.BIO_new_mem_buf(pem, #pem)
  local certificate = C.PEM_read_bio_X509(bio, nil, nil, nil)
  C.BIO_free(bio)
  if certificate == nil then
    C.ERR_clear_error() -- nginx would report it as one of its own
    error("this is no certificate in PEM", 0)
  end
  return ffi.gc(certificate, C.X509_free)
end

local function thumbprint(certificate, kind)
  local bytes, length = ffi.new "unsigned char[64]", ffi.new "unsigned int[1]"
  C.X509_digest(certificate, kind, bytes, length)
  return ffi.string(bytes, length[0])
end

-- { sha1 =, sha256 = thumbprints in bytes, key = public key }; raises what is wrong. Of several the first counts.
function libcrypto.certificate(pem)
  local certificate = read_certificate(pem)
  return {
    sha1 = thumbprint(certificate, C.EVP_sha1()), sha256 = thumbprint(certificate, C.EVP_sha256()),
    key = ffi.gc(C.X509_get_pubkey(certificate), C.EVP_PKEY_free),
  }
end

-- What an algorithm of JWT says to the key, beyond SHA-256. PS256 has salt as long as the digest.
local algorithms = {
  RS256 = { { "rsa_padding_mode", "pkcs1" } },
  PS256 = { { "rsa_padding_mode", "pss" }, { "rsa_pss_saltlen", "digest" } },
}

local function prepare(context, algorithm, key)
  local key_context = ffi.new "simulator_key_context *[1]"
  if C.EVP_DigestVerifyInit(context, key_context, C.EVP_sha256(), nil, key) ~= 1 then return false end
  for _, setting in ipairs(algorithms[algorithm]) do
    if C.EVP_PKEY_CTX_ctrl_str(key_context[0], setting[1], setting[2]) ~= 1 then return false end
  end
  return true
end

-- Whether `signature` is the one of `text`; false also for an algorithm that is none of the above.
function libcrypto.verify(algorithm, key, text, signature)
  if not algorithms[algorithm] then return false end
  local context = ffi.gc(C.EVP_MD_CTX_new(), C.EVP_MD_CTX_free)
  local right = prepare(context, algorithm, key)
    and C.EVP_DigestVerify(context, signature, #signature, text, #text) == 1
  C.ERR_clear_error()
  return right
end

return libcrypto
