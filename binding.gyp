# The same addon as CMakeLists.txt builds, for machines without CMake; without CUDA.
{
  'variables': {
    'simd_libraries': [],
    'conditions': [
      ['target_arch=="x64"', {'simd_libraries': ['kernels_avx2', 'kernels_avx512']}],
    ],
  },
  'target_defaults': {
    'defines': [
      'NAPI_VERSION=8',
      'NODE_ADDON_API_DISABLE_DEPRECATED',
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      'CUDA_BATCHNORM_CUDA_COMPILER="not looked for: node-gyp leaves CUDA out"',
    ],
    'cflags': ['-fvisibility=hidden'],
    'cflags_cc': ['-std=c++17', '-O3', '-ffp-contract=off', '-fvisibility-inlines-hidden'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'OTHER_CPLUSPLUSFLAGS': ['-O3', '-ffp-contract=off'],
    },
  },
  'targets': [
    {
      'target_name': 'cuda_batchnorm',
      'dependencies': [
        '<!(node -p "require(\'node-addon-api\').targets"):node_addon_api_except_all',
        'cpu',
      ],
      'sources': [
        'native/binding/addon.cc',
        'native/binding/arguments.cc',
        'native/binding/backend.cc',
        'native/binding/backends.cc',
        'native/binding/buffer.cc',
        'native/binding/device.cc',
        'native/binding/dlpack.cc',
        'native/binding/environment.cc',
        'native/binding/errors.cc',
        'native/binding/event.cc',
        'native/binding/graph.cc',
        'native/binding/mailbox.cc',
        'native/binding/promises.cc',
        'native/binding/stream.cc',
      ],
    },
    {
      'target_name': 'cpu',
      'type': 'static_library',
      'sources': [
        'native/cpu/backend.cc',
        'native/cpu/batch_norm.cc',
        'native/cpu/device.cc',
        'native/cpu/memory_pool.cc',
        'native/cpu/plan.cc',
        'native/cpu/queue.cc',
        'native/cpu/staging.cc',
        'native/cpu/stream.cc',
        'native/cpu/system.cc',
        'native/cpu/thread_pool.cc',
        'native/cpu/kernels/baseline.cc',
        'native/cpu/kernels/select.cc',
      ],
      'dependencies': ['<@(simd_libraries)'],
      'link_settings': {'libraries': ['-pthread']},
    },
  ],
  'conditions': [
    # One build runs on any processor: each instruction set has its own flags, and is chosen at run time.
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'kernels_avx2',
          'type': 'static_library',
          'sources': ['native/cpu/kernels/avx2.cc'],
          'cflags_cc': ['-mavx2', '-mfma', '-mf16c'],
          'xcode_settings': {'OTHER_CPLUSPLUSFLAGS': ['-mavx2', '-mfma', '-mf16c']},
        },
        {
          'target_name': 'kernels_avx512',
          'type': 'static_library',
          'sources': ['native/cpu/kernels/avx512.cc'],
          'cflags_cc': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mfma', '-mf16c'],
          'xcode_settings': {'OTHER_CPLUSPLUSFLAGS': ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mfma', '-mf16c']},
        },
      ],
    }],
  ],
}
