{# Versions of an entity follow each other: each has ended when the next begins, and only the last is open. #}
{% test no_overlap(model, entity) %}

{%- set columns = entity | join(', ') %}

with

ordered as (

    select
        {{ columns }},
        valid_from,
        valid_to,
        lead(valid_from) over (partition by {{ columns }} order by valid_from) as next_from
    from {{ model }}

)

select * from ordered
where
    valid_to <= valid_from
    or next_from < valid_to
    or (valid_to is null and next_from is not null)

{% endtest %}
