"""Small templates, one feature each, for template_oracle.py and (with jinja2's output) tests/tokenizer/template."""

CONTEXT = {
    "name": "World", "n": 7, "neg": -7, "f": 2.5, "big": 9007199254740993, "t": True, "no": False, "null": None,
    "s": "Hello, World", "empty": "", "uni": "Žluťoučký кůň 😀 ẞß ﬁ", "html": "<a href=\"x\">'&'</a>",
    "spaces": "  \t padded \n ", "lines": "one\ntwo\r\nthree\n\nfive",
    "xs": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "nested": [[1, 2], [3, [4, 5]]], "none_list": [],
    "d": {"b": 1, "a": 2, "C": 3}, "deep": {"k": {"l": [{"m": 42}]}}, "none_dict": {},
    "odd_keys": {"items": "I", "keys": "K", "get": "G", "pop": "P", "x y": "XY", "_p": 1, "__class__": 2, "0": "zero"},
    "users": [{"name": "ann", "age": 31, "tags": ["a", "b"], "active": True}, {"name": "Bob", "age": 25, "tags": [], "active": False},
              {"name": "cy", "age": 31, "tags": ["c"], "active": None}, {"name": "Dee", "tags": ["a"]}],
    "mixed": [1, "a", None, 2.5, True, [1], {"k": "v"}],
    "floats": [0.1, 1e16, 1e-5, 1e15, 123456789.123, 1e22, 1.5e300, -0.0, 3.0, 1e100],
}

# Expressions; each is printed.
EXPRESSIONS = r"""
1 + 2 * 3 - 4
(1 + 2) * 3
7 / 2
6 / 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7 % -3
-7.5 % 2
7.5 // 2
-7.5 // -2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
2 ** 0.5
(-8) ** 2
1e3
1_000
0x1F + 0b11 + 0o17
1.5e-3
12_3.4_5
.5
1 .real
1 / 0
1 // 0
1 % 0
1.0 / 0
0.0 // 0
0 ** -1
9223372036854775807
9223372036854775807 - 1
-9223372036854775807 - 1
big
big + 0.0
big == 9007199254740992.0
big > 9007199254740992.0
0.1 + 0.2
1e16
123456789012345680.0
1e-5
0.0001
floats
floats[1] * 1000
-0.0
true + true
true * 3
not true
not 0
not ''
not none
- true
+ 3
-'a'
+none
1 < 2 < 3
1 < 3 < 2
1 == 1.0 == true
1 != 2
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
(1, 2) < (1, 2, 0)
[1] < (2,)
none < 1
{} < {}
none == false
1 in [1, 2]
true in [1]
'a' in 'cat'
'' in 'x'
1 in 'x'
'x' in {'x': 1}
[1] in {'x': 1}
3 not in xs
'x' not in 'y'
none in [none]
2 in range(3)
1.0 in range(3)
1.5 in range(3)
1 in none
1 in 5
'a' in missing
missing in [1]
missing == missing
missing == none
missing
missing.foo
missing['x']
missing + 1
missing ~ 'x'
missing < 1
-missing
missing()
missing is defined
missing is undefined
not missing
missing or 'fallback'
missing and 1
[missing, missing]
missing|default('d')
missing.x|default('d')
deep.none.x|default('d')
deep.k.l[0].m
deep.k.l.0.m
deep['k']['l'][0]['m']
deep.k.l[5]
deep.k.l[5].m
deep.q
deep.q.r
none.foo
none.foo.bar
none['x']
5.foo
5['x']
'abc'.foo
'abc'[1]
'abc'[-1]
'abc'[9]
'abc'['upper']()
'abc'['x']
uni[-3]
uni[17:]
uni|length
xs[0]
xs[-1]
xs[3]
xs[true]
xs[1.0]
xs['0']
xs['append']
xs.append
xs.append(1)
xs.pop()
xs.sort()
xs.index(2)
xs.index(9)
xs.count(1)
xs.copy()
d.update({'x': 1})
d.pop('a')
d.setdefault('z', 1)
d.clear()
d.a
d['a']
d.get('a')
d.get('z')
d.get('z', 'def')
d.get([1])
d.keys()
d.values()
d.items()
d.keys()|list
d.items()|list
d.copy()
d.items is callable
d.zzz
d[missing]
d[[1]]
d.keys()|length
d.items()|first
d.values()|sum
'a' in d.keys()
('a', 2) in d.items()
2 in d.values()
d.keys() == {'b': 0, 'a': 0, 'C': 0}.keys()
odd_keys.items is callable
odd_keys['items']
odd_keys['pop']
odd_keys.pop
odd_keys['x y']
odd_keys._p
odd_keys['_p']
odd_keys.__class__
odd_keys['__class__']
odd_keys.__nope__
odd_keys['0']
odd_keys[0]
''.__class__
''.__class__.__mro__
''.__class__ is defined
''['__class__']
''|attr('__class__')
''.format.__globals__
xs.__init__
xs[:2]
xs[1:]
xs[::-1]
xs[::2]
xs[-2:]
xs[5:]
xs[:-1]
xs[2:0:-1]
xs[::0]
xs['a':]
xs[none:none]
s[7:]
s[::-1]
s[1:8:2]
s[-5:-1]
uni[::-1]
uni[2:5]
range(10)[2:8:3]
range(10)[::-1]|list
range(5)[1]
range(5)[-1]
range(5)[9]
null[1:]
d[1:]
(1, 2, 3)[1:]
()
(1,)
(1)
1, 2
[]
{}
{'a': 1, 'b': [1, 'x', none, true], 1: (1,)}
{1: 'a', 1.0: 'b', true: 'c'}
{[1]: 2}
{'a': 1}.a
[1, 'a', "it's", 'q"q', "both'\""]
['\n\t\\\x00\x7f\u200b é 😀']
'a' 'b' "c"
'\x41\u0042\U00000043\101'
'\q\é'
'line\
break'
"tab\there"
'a' + 'b'
'a' + 1
1 + 'a'
'ab' * 3
3 * 'ab'
'ab' * -1
[1] * 2
[1] + [2]
[1] + (2,)
(1,) + (2,)
{} + {}
'a' ~ 1 ~ none ~ 2.0 ~ true ~ [1]
'a' - 'b'
none + none
1 if true else 2
1 if false else 2
1 if false
(1 if false) is defined
'a' if missing else 'b' if false else 'c'
true and false or true
1 and 2
0 or ''
'' or none
none or []
1 == 1 and 2 == 2
not 1 == 2
not true or true
'%s' % 1
'%s and %r' % ('a', 'b')
'%d|%5d|%-5d|%05d|%+d' % (1, 2, 3, 4, 5)
'%.2f|%8.3f|%-8.1f|%08.2f' % (1.005, 2.5, 3.25, -4.5)
'%x %X %o %#x %#o' % (255, 255, 8, 255, 8)
'%e %E %g %G' % (12345.678, 0.00012, 1e10, 1e-10)
'%c%c' % (65, 'b')
'%(a)s-%(b)d' % {'a': 'x', 'b': 3}
'%(a)s' % d
'%(zz)s' % d
'%%' % ()
'100%%'
'%s' % [1]
'%s %s' % (1,)
'%s' % (1, 2)
'abc' % 1
'abc' % [1]
'%d' % 'x'
'%d' % 3.99
'%i' % true
'%x' % 1.5
'%*d|%-*d' % (5, 1, 5, 2)
'%.3s|' % 'abcdef'
'%5s|%-5s|' % ('é', 'é')
'%r %a' % ('é', 'é')
'%y' % 1
'%' % 1
'%s' % missing
'%f' % missing
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('a', 'b')
'{a} {b!r}'.format(a=1, b='x')
'{a[k]} {b[0]} {a.k}'.format(a={'k': 5}, b=[7])
'{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:,} {:_}'.format(42, 7, 1234567, 1234567)
'{:08,} {:010,.2f}'.format(1234, 1234.5)
'{:x} {:X} {:b} {:o} {:#x} {:#b}'.format(255, 255, 5, 8, 255, 5)
'{:.3f} {:.2%} {:e} {:g}'.format(3.14159, 0.256, 12345.0, 0.0001)
'{:.3} {:.1} {:10.4} {}'.format(3.14159, 0.0, 12345.678, 2.0)
'{!s} {!r} {!a}'.format('é', 'é', 'é')
'{:{w}}|'.format('x', w=4)
'{{}} {}'.format(1)
'{'.format()
'}'.format()
'{} {0}'.format(1)
'{5}'.format(1)
'{zz}'.format(a=1)
'{:d}'.format('x')
'{:s}'.format(1)
'{:=5}'.format('a')
'{:c}'.format(65)
'{:n}'.format(12)
'{:5}'.format(true)
'{}'.format(true)
'{:5}'.format(none)
'{0.__class__}'.format(1)
'{0.upper}'.format('a') is string
'{a}'.format_map({'a': 1})
s.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
s.casefold()
uni.upper()
uni.lower()
uni.title()
uni.capitalize()
uni.swapcase()
uni.casefold()
'ΑΣ ΣΑΣ Σ'.lower()
'ǆ ŉ İ'.title()
s.split()
s.split(',')
s.split(', ', 1)
s.split('l', 2)
s.split('')
s.split(none, 1)
' a  b  c '.split()
' a  b  c '.split(none, 1)
' a  b  c '.rsplit(none, 1)
s.split(sep=',')
s.split(maxsplit=1)
s.rsplit('l', 1)
'a,b,c'.rsplit(',')
''.split()
''.split(',')
lines.splitlines()
lines.splitlines(true)
'a\x0bb\x1cc\u2028d'.splitlines()
spaces.strip()
spaces.lstrip()
spaces.rstrip()
'xxaxx'.strip('x')
'xyaxy'.strip('yx')
'éaé'.strip('é')
'x'.strip(none)
'x'.strip(1)
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith('W', 7)
s.startswith('W', -5)
s.startswith(1)
s.endswith('ld')
s.endswith('lo', 0, 5)
s.find('o')
s.find('o', 5)
s.find('z')
uni.find('😀')
uni.rfind('к')
s.rfind('o')
s.index('z')
s.count('l')
s.count('')
'aaaa'.count('aa')
s.replace('l', 'L')
s.replace('l', 'L', 1)
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
s.replace('x')
'-'.join(['a', 'b'])
'-'.join('abc')
'-'.join([1])
''.join([])
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'abc'.center(8, '*')
'abc'.center(9)
'ab'.center(5, '*')
'abc'.ljust(5) ~ '|'
'abc'.rjust(5, '.')
'42'.zfill(5)
'-42'.zfill(5)
'a\tb'.expandtabs()
'a\tb'.expandtabs(4)
'prefix-x'.removeprefix('prefix-')
'x-suffix'.removesuffix('-suffix')
'123'.isdigit()
'12a'.isdigit()
'²'.isdigit()
'½'.isnumeric()
'٣'.isdecimal()
'abc'.isalpha()
'é'.isalpha()
'a1'.isalnum()
' \t'.isspace()
''.isspace()
'abc'.islower()
'ABC'.isupper()
'Abc Def'.istitle()
'a b'.isidentifier()
'a\n'.isprintable()
'é'.isascii()
n.bit_length()
f.is_integer()
3.0.is_integer()
n.real
xs|length
xs|count
s|length
n|length
none|length
missing|length
d|length
xs|first
none_list|first
none_list|first is defined
xs|last
d|last
none_list|last
s|last
xs|join
xs|join(', ')
words|join('|')
users|join(',', attribute='name')
mixed|join('-')
s|join('.')
none|join
missing|join
d|join(',')
xs|sort
xs|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
mixed|sort
users|sort(attribute='name')|map(attribute='name')|join(' ')
users[:3]|sort(attribute='age,name')|map(attribute='name')|join(' ')
users|sort(attribute='age')
[none, none]|sort
[[2, 'b'], [1, 'z'], [2, 'a']]|sort
words|unique|list
words|unique(case_sensitive=true)|list
[1, 1.0, true, 2]|unique|list
[[1]]|unique|list
users|unique(attribute='age')|map(attribute='name')|list
xs|min
xs|max
words|min
words|max
words|max(case_sensitive=true)
users[:3]|max(attribute='age')
none_list|min
mixed|max
xs|sum
[0.1, 0.2, 0.3]|sum
users[:3]|sum(attribute='age')
[[1], [2]]|sum(start=[])
['a']|sum
['a']|sum(start='')
xs|reverse|list
s|reverse
d|reverse|list
5|reverse
xs|list
s|list
d|list
5|list
missing|list
xs|batch(2)|list
xs|batch(2, 'x')|list
xs|batch(0)|list
range(7)|slice(3)|list
range(7)|slice(3, 'x')|list
range(2)|slice(0)|list
d|dictsort
d|dictsort(true)
d|dictsort(by='value')
d|dictsort(false, 'value', true)
d|dictsort(by='x')
xs|dictsort
d|items|list
missing|items|list
xs|items|list
users|groupby('age')|length
users[:3]|groupby('age')
users|groupby('age', default=0)|map('first')|list
users[:3]|groupby('name')|map(attribute='grouper')|list
words|groupby(0)|map(attribute='list')|list
words|groupby(0, case_sensitive=true)|map('first')|join
xs|map('string')|list
words|map('upper')|list
words|map('replace', 'p', 'q')|list
users|map(attribute='name')|list
users|map(attribute='age')|list
users|map(attribute='age', default='?')|list
users|map(attribute='tags.0')|list
users|map('nope')|list
users|map()|list
users|map(attribute='x', foo=1)|list
xs|select|list
xs|select('odd')|list
xs|select('divisibleby', 3)|list
xs|select('>', 1)|list
xs|reject('odd')|list
xs|reject('in', [1, 2])|list
mixed|select('string')|list
mixed|select('nope')|list
users|selectattr('active')|map(attribute='name')|list
users|selectattr('age', 'defined')|list|length
users|selectattr('name', 'equalto', 'Bob')|map(attribute='age')|list
users|rejectattr('active')|map(attribute='name')|list
users|rejectattr('age', 'gt', 30)|map(attribute='name')|list
users[:3]|rejectattr('age', 'gt', 30)|map(attribute='name')|list
users|selectattr()|list
xs|map('string')|length
(xs|map('string'))[0]
(xs|map('string')) is iterable
xs|map('abs')|first
xs|select('odd')|last
s|upper
s|lower
s|title
"it's a-b (c) [d] {e} <f> g_h"|title
s|capitalize
uni|capitalize
n|upper
none|upper
spaces|trim
'xxaxx'|trim('x')
n|trim ~ '|'
missing|trim
s|replace('l', 'L')
s|replace('l', 'L', 1)
n|replace(7, 8)
s|truncate(8)
s|truncate(8, true)
s|truncate(8, true, '!')
s|truncate(8, false, '...', 0)
s|truncate(2)
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(11)
uni|truncate(9, true, '', 0)
s|wordcount
uni|wordcount
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, true, true)
lines|indent('>> ')
lines|indent(width=1, first=true)
'a\n'|indent
n|indent
s|center(20) ~ '|'
html|escape
html|e
html|safe
html|escape|escape
html|forceescape
html|escape|forceescape
html|striptags
'<b>a</b>  &amp; <!-- c > --> b'|striptags
html|urlencode
'a b/c?d=é'|urlencode
{'a': 1, 'b c': 'd/e'}|urlencode
[('x', 1), ('y', 'z z')]|urlencode
{'class': 'a', 'id': none, 'x': 1}|xmlattr
('<b>'|safe) + '<i>'
'<i>' + ('<b>'|safe)
('<b>'|safe) ~ '<i>'
('<b>%s</b>'|safe) % '<i>'
('<b>{}</b>'|safe).format('<i>')
('<b>'|safe).join(['<i>', '<u>'])
('<b>'|safe).upper()
['<b>'|safe]
('<b>'|safe) is escaped
'x' is escaped
('<'|safe) is string
('<'|safe) == '<'
('a'|safe) * 2
('a<'|safe)[0:1] + '<'
('a b'|safe).split()
'%s,%s'|format(1, 2)
'%(x)s'|format(x=5)
'%(x)s'|format(1, x=5)
'%s'|format
n|string ~ 'x'
n|string|length
n|float
'2.5'|float
'x'|float
'x'|float(1.5)
' 1_0.5e1 '|float
'inf'|float
'nan'|float
none|float
missing|float
'42'|int
'42.9'|int
'x'|int
'x'|int(7)
'x'|int(default=none)
'0x1A'|int(base=16)
'0x1A'|int(0, 16)
'101'|int(0, 2)
'z'|int(0, 36)
'0b11'|int(0, 0)
' 12 '|int
'1_000'|int
'1__0'|int
'-5'|int
3.99|int
-3.99|int
true|int
none|int
[]|int
missing|int
'1e3'|int
'inf'|int
42.55|round
42.55|round(1)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
42.5|round
43.5|round
2.675|round(2)
1234.5|round(-2)
1250.0|round(-2)
1350|round(-2)
5|round
5|round(2)
5|round(0, 'ceil')
-2.5|round
'x'|round
42|round(1, 'nope')
1e300|round(2)
-5|abs
-5.5|abs
true|abs
'x'|abs
-1|abs
5|default(1)
none|default('x')
none|default('x', true)
''|d('x', true)
0|default(1, boolean=true)
missing|default
1000000|filesizeformat
1024|filesizeformat(true)
1|filesizeformat
0|filesizeformat
123456789|filesizeformat
'nope'|nope
5 is nope
1 is odd
2 is even
2.5 is odd
'x' is odd
9 is divisibleby 3
9 is divisibleby(4)
1 is divisibleby 0
n is number
t is number
s is number
n is integer
t is integer
f is float
t is boolean
n is boolean
t is true
no is false
none is none
none is not none
missing is none
s is string
d is mapping
xs is mapping
xs is sequence
s is sequence
d is sequence
d.keys() is sequence
missing is sequence
n is sequence
xs is iterable
s is iterable
n is iterable
missing is iterable
d.items() is iterable
range is callable
s is callable
s.upper is callable
missing is callable
'abc' is lower
'ABC' is upper
'a1' is lower
1 is lower
1 is sameas 1
none is sameas none
t is sameas true
xs is sameas xs
[1] is sameas [1]
1 is in [1, 2]
'x' is not in 'abc'
1 is eq 1
1 is equalto 1.0
1 is ne 2
1 is lt 2
1 is ge 1
2 is greaterthan 1
1 is lessthan('x')
'upper' is filter
'nope' is filter
'odd' is test
'nope' is test
[] is filter
1 is defined is true
range(3)
range(3)|list
range(1, 4)|list
range(10, 0, -3)|list
range(0)
range(3) == range(0, 3)
range('a')
range(1.5)
range(1, 2, 0)
range(100001)
range(100000)|length
range(1000000000)
dict(a=1, b=2)
dict([('a', 1), ['b', 2]])
dict(d, z=9)
dict([1])
dict.fromkeys('ab', 1)
namespace(a=1).a
namespace(a=1).b
namespace(a=1)['a']
namespace({'x': 1}).x
namespace(_x=1)
joiner('-')() ~ 'x'
cycler(1, 2).next()
cycler()
cycler('a', 'b').current
raise_exception('boom')
raise_exception()
strftime_now('%Y-%m-%d %H:%M:%S')
strftime_now('%d %b %Y')
strftime_now('%A %B %j %p %I %y %%')
strftime_now('')
strftime_now(1)
d|tojson
nested|tojson
mixed|tojson
floats|tojson
uni|tojson
uni|tojson(ensure_ascii=true)
html|tojson
'\n\t\r\b\f\x00\x1f\x7f\\"/'|tojson
d|tojson(indent=2)
nested|tojson(indent=4)
[]|tojson(indent=2)
{}|tojson(indent=2)
d|tojson(indent='--')
d|tojson(indent=0)
d|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
d|tojson(separators=[',', ': '], indent=1)
d|tojson(true)
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
{(1, 2): 3}|tojson
(1, 2)|tojson
missing|tojson
[missing]|tojson
range(3)|tojson
xs|map('string')|tojson
namespace(a=1)|tojson
('x'|safe)|tojson
n|tojson
1e400|tojson
s|nope.dotted
s | upper | lower | replace('h', 'j')
(s)
s.upper is callable
s.upper()()
n()
'a'('b')
[1, 2,]
{'a': 1,}
[,]
(,)
1 +
* 1
a b
1 = 2
x.
x[
x['a'
'unterminated
{{ 1 }}
1 if
1 is
1 |
f(a=1, 2)
f(**{}, *[])
f(a=1, a=2)
1 not 2
not
s.1a
@
$
!x
a ? b : c
xs[1, 2]
d['a', 'b']
[x for x in xs]
lambda: 1
""".strip("\n")

# Whole templates; "\n" is a newline here.
TEMPLATES = [
    # whitespace
    "a\n  {% if true %}\n  b\n  {% endif %}\nc", "a {%- if true -%} b {%- endif -%} c", "a {%+ if true %} b\n{% endif %}\n",
    "  {% if true +%}\n  x\n  {%+ endif %}", "\n\n{% set x = 1 %}\n\n{{ x }}\n\n", "{{ 1 }}\n", "{{ 1 }}\n\n", "x\n", "\n", "{# #}",
    "a\r\nb\rc\n{{ 'x\r\ny' }}", "  {{- 1 -}}  x", "{{ 1 }}\n{{ 2 }}", "a{# c #}b", "a\n  {# c #}\n  b", "a {#- c -#} b",
    "a\n\t{#+ c +#}\nb", "{# {{ 1 }} {% if %} #}x", "{# unclosed", "{#-#}x", "{#--#}x", "{% raw %}{{ x }}{% endraw %}",
    "a\n  {% raw %}\n {% if %}\n  {% endraw %}\nb", "a {%- raw -%} x {%- endraw -%} b", "{% raw %}x", "{%raw%}{%endraw%}",
    "{% raw %} {% raw %} {% endraw %}", "{%-raw+%}x{% endraw %}", "x {% rawx %}", "{{'{{'}} }} %} #}", "{ { } } {x} %", "{%", "{{", "{{ }}", "{% %}",
    "  x{% if true %}y{% endif %}", " \t {% if true %}y{% endif %}", "x\n \u00a0 {% if true %}y{% endif %}", "{% if true %}\n\n{% endif %}x",
    "{%- set a = 1 %}\n {{- a }}\n {{ a -}} \n z", "{{+1}} {{-1}}", "{{ -1 }}", "{{ 1-}}", "{% set x = 1 -%}   \n\n y",
    "{{ [1,\n2,\n3]\n}}", "{{ {'a': {'b': {}}} }}", "{{ '}}' }}", "{{ \"%}\" }}", "{% set x = '%}' %}{{ x }}",
    # if
    "{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "{% if no %}a{% elif t %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif no %}b{% else %}c{% endif %}", "{% if missing %}a{% endif %}|", "{% if 1, 2 %}t{% endif %}", "{% if %}{% endif %}",
    "{% if true %}", "{% if true %}{% endfor %}", "{% endif %}", "{% else %}", "{% if true: %}x{% endif %}", "{% if x %}{% else %}{% elif %}{% endif %}",
    "{% if true %}{% set q = 1 %}{% endif %}{{ q }}", "{% if false %}{% set q = 1 %}{% endif %}{{ q }}|", "{% if false %}{% set name = 1 %}{% endif %}{{ name }}",
    "{% if false %}{{ 1|nope }}{% endif %}ok", "{{ 1|nope if false else 2 }}", "{% for x in [1] if x is nope %}{% endfor %}",
    "{% if false %}{% for x in [] %}{{ x|nope }}{% endfor %}{% endif %}", "{% if true %}{{ 1|nope }}{% endif %}",
    # for
    "{% for x in xs %}{{ x }},{% endfor %}", "{% for x in none_list %}{{ x }}{% else %}none{% endfor %}", "{% for x in xs %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'añb' %}[{{ c }}]{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}e{% endfor %}", "{% for x in none %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }} {% endfor %}",
    "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, b in ['xy'] %}{{ a }}-{{ b }}{% endfor %}",
    "{% for a, b in [1] %}{% endfor %}", "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}", "{% for x in xs if x > 5 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in xs if y %}{% endfor %}|{% for y in xs if y > 1 %}{{ y }}{% endfor %}", "{% for x in xs if loop.first %}{{ x }}{% endfor %}",
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in xs %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in range(5) %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in xs %}{{ loop.cycle() }}{% endfor %}", "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in xs|map('string') %}{{ loop.length }}{{ loop.last }}{{ x }} {% endfor %}", "{% for x in xs|map('string') %}{{ loop.revindex }}{{ loop.nextitem }} {% endfor %}",
    "{% for x in xs %}{{ loop }}{% endfor %}", "{% for x in xs %}{{ loop.nope }}|{% endfor %}", "{% for x in xs %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for x in xs %}{% for y in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in xs %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{{ loop }}|{% for x in [1] %}{% endfor %}{{ loop }}", "{% for loop in xs %}{% endfor %}", "{% for x in xs %}{% set loop = 1 %}{% endfor %}", "{% for x in xs %}{% endfor %}{{ x }}|",
    "{% set x = 9 %}{% for x in xs %}{{ x }}{% endfor %}{{ x }}", "{% set c = 0 %}{% for x in xs %}{% set c = c + x %}{{ c }} {% endfor %}{{ c }}", "{% for x in xs %}{{ c }}{% set c = x %}{% endfor %}|{{ c }}",
    "{% set ns = namespace(c=0) %}{% for x in xs %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}", "{% for x in [1] %}{{ name }}{% endfor %}{% set name = 5 %}{{ name }}", "{{ name }}{% for x in [1] %}{{ name }}{% endfor %}{% set name = 5 %}{{ name }}",
    "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% break %}{% else %}else{% endfor %}",
    "{% for x in xs %}{% if loop.index == 2 %}{% break %}{% endif %}{% else %}else{% endfor %}", "{% for x in xs %}{% continue %}{% else %}else{% endfor %}", "{% break %}", "{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for x in xs %}{% set y %}a{% if x == 1 %}{% break %}{% endif %}b{% endset %}{{ y }}{% endfor %}|{{ y }}", "{% for x in xs %}{% for y in xs %}{% break %}{% endfor %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% for y in [] %}{% else %}{% break %}{% endfor %}{{ x }}{% endfor %}z", "{% for x in [[1, [2, [3]]], 4] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in nested recursive %}{{ loop.depth0 }}{{ loop.index }}{% if x is sequence %}[{{ loop(x) }}]{% endif %}{% else %}E{% endfor %}", "{% for x in xs %}{{ loop(xs) }}{% endfor %}", "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
    "{% for x in xs recursive %}{% set y = x %}{{ y }}{% endfor %}{{ y }}|", "{% for x in xs|sort if x > 1 recursive %}{{ x }}{% endfor %}", "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}", "{% for x, in [[1], [2]] %}{{ x }}{% endfor %}",
    "{% for x in xs %}", "{% for x %}{% endfor %}", "{% for in xs %}{% endfor %}", "{% for 1 in xs %}{% endfor %}", "{% for x.y in xs %}{% endfor %}", "{% for x in (xs if t else []) %}{{ x }}{% endfor %}", "{% for x in xs if t else [] %}{{ x }}{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for g in users[:3]|groupby('age') %}{{ g.grouper }}:{{ g.list|length }} {% endfor %}", "{% for age, us in users[:3]|groupby('age') %}{{ age }}{{ us|map(attribute='name')|join }} {% endfor %}",
    "{% set it = xs|map('string') %}{{ it|list }}{{ it|list }}", "{% set r = xs|reverse %}{{ r|join }}|{{ r|join }}", "{% set it = d|items %}{% for k, v in it %}{{ k }}{% endfor %}{% for k, v in it %}{{ k }}{% endfor %}|",
    "{% for x in xs|select('odd') %}{{ loop.index }}{{ x }}{% endfor %}", "{% for x in xs %}{{ xs[loop.index0 - 1] }}{% endfor %}", "{% for m in users %}{% if loop.last and m.age is not defined %}last{% endif %}{% endfor %}",
    # set
    "{% set x = 1 %}{{ x }}", "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x, y = [1] %}", "{% set (x, y) = 'ab' %}{{ x }}{{ y }}", "{% set x %}a{{ n }}b{% endset %}{{ x }}", "{% set x | upper %}a{{ n }}b{% endset %}{{ x }}",
    "{% set x | replace('a', 'b') | upper %}a{% endset %}{{ x }}", "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}|", "{% set x %}<b>{% endset %}{{ x is escaped }}", "{% set x = 1 %}{% set x %}{{ x }}{{ x }}{% endset %}{{ x }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b, c = 2, 3 %}{{ ns.a }}{{ ns.b }}{{ c }}", "{% set d.x = 1 %}", "{% set missing.x = 1 %}", "{% set ns = namespace() %}{% set ns.a %}text{% endset %}{{ ns.a }}", "{% set ns = namespace(a=[]) %}{% set ns.a = ns.a + [1] %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns._a = 1 %}", "{% set ns = namespace(x=1) %}{{ ns }}", "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}", "{% set 1 = 2 %}", "{% set x.y.z = 1 %}", "{% set 'a' = 1 %}", "{% set none = 1 %}", "{% set x %}", "{% set %}",
    "{% set x = %}", "{% set x = 1, %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}", "{% set a = b %}{% set b = 1 %}{{ a }}|{{ b }}", "{% set x = x %}{{ x is defined }}", "{% set n = n + 1 %}{{ n }}", "{% set range = 5 %}{{ range }}",
    "{% set self = 1 %}{{ name }}", "{% set ns = namespace(n=1) %}{% with %}{% set ns.n = 2 %}{% endwith %}{{ ns.n }}", "{% set f = s.upper %}{{ f() }}", "{% set f = '{}'.format %}{{ f(3) }}",
    # with, filter
    "{% with %}{% set x = 1 %}{{ x }}{% endwith %}{{ x }}|", "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}|", "{% with a = 1, b = a %}{{ b }}{% endwith %}|", "{% with a, b = [1, 2] %}{{ a }}{{ b }}{% endwith %}", "{% set a = 5 %}{% with a = a + 1 %}{{ a }}{% endwith %}{{ a }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}", "{% filter upper | replace('A', 'b') %}aaa{% endfilter %}", "{% filter trim %}  x {% endfilter %}|", "{% filter indent(2, true) %}a\nb{% endfilter %}", "{% filter nope %}{% endfilter %}", "{% filter length %}abc{% endfilter %}", "{% filter upper %}{% set x = 1 %}{% endfilter %}{{ x }}|",
    "{% print 1, 2 %}", "{% print n %}",
    # macro
    "{% macro m() %}x{% endmacro %}{{ m() }}{{ m() }}", "{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}", "{% macro m() %}{{ varargs|length }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m(a=n) %}{{ a }}{% endmacro %}{{ m() }}", "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(3) }}",
    "{% macro m(a=b, b=1) %}[{{ a }}]{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a + b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m() %}x{% endmacro %}{% call m() %}{% endcall %}", "{% macro m(x) %}{{ caller(x) }}{% endmacro %}{% call(y=5) m(1) %}{{ y }}{% endcall %}", "{% call 5 %}{% endcall %}", "{% call m %}{% endcall %}", "{% call n() %}{% endcall %}",
    "{% macro m() %}{{ name }}{% endmacro %}{{ m() }}{% set name = 'x' %}{{ m() }}", "{% macro m() %}{{ zz }}{% endmacro %}{{ m() }}|{% set zz = 'x' %}{{ m() }}", "{% macro m() %}{% set name = 'in' %}{{ name }}{% endmacro %}{{ m() }}{{ name }}", "{% macro m() %}{{ zz }}{% set zz = 1 %}{% endmacro %}{{ m() }}|",
    "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m }}|", "{% macro fact(n) %}{% if n > 1 %}{{ n * fact(n - 1)|int }}{% else %}1{% endif %}{% endmacro %}{{ fact(10) }}",
    "{% macro even(n) %}{{ 'even' if n == 0 else odd(n - 1) }}{% endmacro %}{% macro odd(n) %}{{ 'odd' if n == 0 else even(n - 1) }}{% endmacro %}{{ even(7) }}", "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m() %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}", "{% macro m(a, b=1) %}{{ caller }}{% endmacro %}{{ m.arguments }}{{ m.caller }}{{ m.catch_varargs }}",
    "{% macro m() %}<b>{% endmacro %}{{ m() is escaped }}{{ m()|length }}", "{% macro a() %}{% macro b() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ b() }}{% endmacro %}{{ a() }}", "{% macro m(caller) %}{{ caller() }}{% endmacro %}", "{% macro m(caller=none) %}{{ caller is none }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m() }}{% call m() %}x{% endcall %}",
    "{% macro m() %}{% for x in [1] %}{{ caller() }}{% endfor %}{% endmacro %}{% call m() %}c{% endcall %}", "{% macro m(kwargs) %}{{ kwargs }}{% endmacro %}{{ m(1) }}", "{% macro m(*a) %}{% endmacro %}", "{% macro m(a.b) %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro 1() %}{% endmacro %}", "{% macro m() %}",
    "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*5) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**{'a': 1}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(a=1, **{'a': 1}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(**{1: 1}) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*missing) }}|",
    "{% macro m() %}\n  x\n{% endmacro %}\n[{{ m() }}]", "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m(1) }}]", "{% macro m() %}{{ 1 / 0 }}{% endmacro %}ok", "{% macro m() %}{{ m }}{% endmacro %}{{ m() == m() }}", "{% macro m(x) %}{% if x %}{{ m(x[1:]) }}{{ x[0] }}{% endif %}{% endmacro %}{{ m('abc') }}",
    # generation
    "a{% generation %}b{{ n }}{% endgeneration %}c", "{% generation %}{% set x = 1 %}{{ x }}{% endgeneration %}{{ x }}|", "{% for x in xs %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{% for x in xs %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", "{% generation %}x", "{%- generation -%} x {%- endgeneration -%} y",
    # objects
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner() %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner(sep='|') %}{{ j() }}a{{ j() }}b",
    "{% set u = d.update %}x", "{% set u = d.update %}{{ u({}) }}", "{% if xs.append(1) %}{% endif %}", "{% set _ = xs.append(4) %}", "{{ d.items() }}{{ d.keys()|first }}", "{% for k in d.keys() %}{{ k }}{% endfor %}",
    # refused
    "{% nope %}", "{% 1 %}", "{% if true %}{% nope %}{% endif %}", "{{ super() }}", "{% if %}",
    # constants at the start, long chains
    "{{ '%s' % ('a' ~ 'b' * 3) }}", "{{ ((((((((((1)))))))))) }}", "{{ 1 if 2 if 3 }}", "{{ a if a is defined else b if b is defined else 'c' }}", "{{ xs | sum + 1 }}", "{{ 1 + xs | sum }}", "{{ -xs|sum }}", "{{ 'a' ~ 'b' | upper }}", "{{ not xs is iterable }}",
    "{{ 1 is number and 'a' is string }}", "{{ 'x' is not in ['x'] or true }}", "{{ 5 is divisibleby 2 or 4 is divisibleby 2 }}", "{{ s.split(',')[1].strip()[0] }}", "{{ (s|upper).split()[0]|lower }}", "{{ {'a': [1, 2, {'b': 'c'}]}.a[2].b|upper }}", "{{ 'a'.upper().lower().title() }}", "{{ users[0]['tags'][0] ~ users.0.tags.1 }}",
    "{{ 1 }}{# c #}{{ 2 }}{% if true %}{{ 3 }}{% endif %}{% raw %}{{ 4 }}{% endraw %}", "{{ \"a\\\"b\" }}{{ 'a\\'b' }}", "{% set x = 'é' %}{{ x|length }}{{ x }}", "{{ 'a\\\\b' }}", "{{ x|default(y|default('z')) }}", "{{ 10000000000 * 1000 }}", "{{ 7.0 }} {{ 7.10 }} {{ 1e2 }}",
]


def cases():
    """(name, template, context)"""
    for line in EXPRESSIONS.replace("\\\nbreak", "\\\x00break").split("\n"):
        expression = line.replace("\\\x00break", "\\\nbreak")
        if expression:
            yield expression, "{{ " + expression + " }}", CONTEXT
    for template in TEMPLATES:
        yield template, template, CONTEXT
    # Bits of real life: the messages of a chat.
    for name, messages in (("strings", [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]),
                           ("parts", [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]}])):
        template = ("{% for m in messages %}<|{{ m.role }}|>\n{% if m.content is string %}{{ m.content }}{% else %}{% for c in m['content'] %}"
                    "{% if c.type == 'text' %}{{ c.text }}{% else %}<img>{% endif %}{% endfor %}{% endif %}<|end|>\n{% endfor %}"
                    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
        for prompt in (False, True):
            yield f"chat of {name}, prompt {prompt}", template, {"messages": messages, "add_generation_prompt": prompt}
