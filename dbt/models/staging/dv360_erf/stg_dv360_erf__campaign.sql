with

source as (

    select * from {{ source('dv360_erf', 'campaign') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        common_data.id as campaign_id,
        advertiser_id,

        -- attributes
        {{ text('common_data.name') }} as campaign_name,
        common_data.active as is_active,
        {{ text('common_data.integration_code') }} as integration_code,
        uses_video_creatives,
        uses_display_creatives,
        uses_audio_creatives,
        objective as objective_code,
        {{ text('objective_description') }} as objective_description,
        metric as metric_code,
        {{ from_micros('metric_amount_micros') }} as metric_amount,

        -- flattened from records
        {{ usec_to_date('budget.start_time_usec') }} as start_date,
        {{ usec_to_last_date('budget.end_time_usec') }} as end_date,

        -- records and lists, as they came
        budget,
        frequency_cap,
        default_target_list,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
