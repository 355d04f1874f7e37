{# Versions of an entity follow each other: none begins before the one before it has ended, and only the last is open. #}
{% test no_overlap(model, entity) %}

with

ordered as (

    select
        {{ entity | join(', ') }},
        valid_from,
        valid_to,
        lead(valid_from) over (partition by {{ entity | join(', ') }} order by valid_from) as next_from
    from {{ model }}

)

select * from ordered
where
    valid_to <= valid_from
    or next_from < valid_to
    or (valid_to is null and next_from is not null)

{% endtest %}
