"Everything that the package index sees is read from settings.ini; pyproject.toml only names the build backend."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=['='])
ini.read(here/'settings.ini', encoding='utf-8')
cfg = ini['DEFAULT']

statuses = ['1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable', '6 - Mature', '7 - Inactive']
minor = int(cfg['min_python'].split('.')[1])

# relative links and pictures of the README work on the package's page too
readme = (here/'README.md').read_text(encoding='utf-8')
readme = re.sub(r'(?<!!)(\[[^\]]*\]\()(?![a-z]+:|#)', rf"\1{cfg['git_url']}/blob/{cfg['branch']}/", readme)
readme = re.sub(r'(!\[[^\]]*\]\()(?![a-z]+:)', rf"\1{cfg['git_url']}/raw/{cfg['branch']}/", readme)

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme,
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'].split(),
    author=cfg['author'],
    author_email=cfg['author_email'],
    license='Apache-2.0',
    license_files=['LICENSE', 'NOTICE'],
    url=cfg['git_url'],
    project_urls={'Documentation': cfg['doc_host'] + cfg['doc_baseurl'], 'Source': cfg['git_url'],
                  'Changes': f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md"},
    classifiers=[
        f"Development Status :: {statuses[int(cfg['status'])-1]}",
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        'Framework :: Jupyter',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Processing',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{m}' for m in range(minor, 14)),
        'Typing :: Typed',
    ],
    packages=find_packages(include=['vim_nb', 'vim_nb.*']),
    package_data={'vim_nb': ['py.typed', 'bundles/*/*.safetensors', 'bundles/*/*.json', 'bundles/*/*.md', 'splits/*.txt',
                             'widgets/*.js', 'widgets/*.css']},
    include_package_data=False,
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    extras_require={'dev': cfg['dev_requirements'].split()},
    entry_points={'console_scripts': cfg['console_scripts'].split(), 'nbdev': [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"]},
    zip_safe=False,
)
