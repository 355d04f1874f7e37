{# Values: units, null markers and dates. What differs between warehouses is dispatched, everything else is one text. #}

{% macro money(expression) -%}
    cast({{ expression }} as numeric(28, 6))
{%- endmacro %}


{% macro from_micros(expression) -%}
    {#- Exact: a division would be a float on one warehouse and a rounded decimal on the other. -#}
    cast(cast({{ expression }} as numeric(28, 6)) * cast('0.000001' as numeric(7, 6)) as numeric(28, 6))
{%- endmacro %}


{% macro text(expression) -%}
    {#- Text with the markers that reports and files use for "nothing" made null. -#}
    case when trim({{ expression }}) not in ('', '-', '(not set)') then {{ expression }} end
{%- endmacro %}


{% macro no_text() -%}
    cast(null as {{ dbt.type_string() }})
{%- endmacro %}


{% macro no_id() -%}
    cast(null as bigint)
{%- endmacro %}


{% macro no_money() -%}
    cast(null as numeric(28, 6))
{%- endmacro %}


{# A date that an API gives as a record of year, month and day. #}
{% macro date_of(record) -%}
    {{ adapter.dispatch('date_of')(record) }}
{%- endmacro %}

{% macro default__date_of(record) -%}
    make_date({{ record }}.year, {{ record }}.month, {{ record }}.day)
{%- endmacro %}

{% macro bigquery__date_of(record) -%}
    date({{ record }}.year, {{ record }}.month, {{ record }}.day)
{%- endmacro %}


{# The UTC day of a time in microseconds. #}
{% macro usec_to_date(expression) -%}
    {{ adapter.dispatch('usec_to_date')(expression) }}
{%- endmacro %}

{% macro default__usec_to_date(expression) -%}
    cast(make_timestamp({{ expression }}) as date)
{%- endmacro %}

{% macro bigquery__usec_to_date(expression) -%}
    date(timestamp_micros({{ expression }}))
{%- endmacro %}


{# The last day of something that ends at a time in microseconds: midnight belongs to the day before. #}
{% macro usec_to_last_date(expression) -%}
    {{ usec_to_date(expression ~ ' - 1') }}
{%- endmacro %}


{# Whole part of a division of two integers that are not negative. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ adapter.dispatch('whole_quotient')(dividend, divisor) }}
{%- endmacro %}

{% macro default__whole_quotient(dividend, divisor) -%}
    ({{ dividend }}) // ({{ divisor }})
{%- endmacro %}

{% macro bigquery__whole_quotient(dividend, divisor) -%}
    div(({{ dividend }}), ({{ divisor }}))
{%- endmacro %}


{# Part of a whole, rounded half up (away from zero) to six digits in whole numbers only; null without a whole. #}
{% macro ratio(part, whole) -%}
    case
        when {{ whole }} > 0
            then
                {{ from_micros(
                    'sign(' ~ part ~ ') * '
                    ~ whole_quotient('2000000 * abs(' ~ part ~ ') + ' ~ whole, '2 * ' ~ whole)
                ) }}
    end
{%- endmacro %}


{# Columns as one text, joined by |; null is nothing. #}
{% macro joined(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), '')") -%}
    {%- endfor -%}
    concat({{ parts | join(", '|', ") }})
{%- endmacro %}
